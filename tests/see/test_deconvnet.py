from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import Deconvolution
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec import Net, loads
from netspec.errors import DataError, LabelError
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.relu6 import Relu6
from netspec.runtime.reference import Model
from netspec.see.deconvnet import Rule, deconvnet, rule_of
from netspec.see.fields import crop_of
from tests.examples import examples
from tests.ir.ops.helpers import sample
from tests.lowering.passes.helpers import images, random_model
from tests.see.explicit import cut_after, nets, project

TOLERANCE = 1e-10
"""Relative to the largest value.  Both sides add the same float64 products in other orders: at most
some ten thousand terms a value, through at most 25 layers, each of which moves a value by no more
than a few hundred units of 1.1e-16."""


def assert_equal(model: Model, row: str, seed: int = 1) -> None:
    """The projection of the strongest activation is that of the plain definition."""
    (batch,) = images(model.net, seed, batch=1)
    projected = deconvnet(model, batch, row)
    number, position = int(projected.maps[0]), tuple(map(int, projected.positions[0]))
    activation, pixels = project(model, batch, row, number, position)
    assert float(projected.activations[0]) == activation
    largest = max(np.abs(pixels).max(), 1e-300)
    difference = np.abs(projected.pixels[0].numpy() - pixels).max()
    assert difference <= TOLERANCE * largest, f"{row}: {difference / largest:g}"


SMALL = [
    ("alexnet", "S5", "67x67x3"),
    ("zfnet", "S5", "63x63x3"),
    ("vgg11", "S5", "32x32x3"),
    ("googlenet", "4a", "64x64x3"),
]


@pytest.mark.parametrize(("name", "row", "size"), SMALL)
def test_a_net_is_projected_by_the_plain_definition(name: str, row: str, size: str) -> None:
    model = random_model(cut_after(name, row, size))
    assert_equal(model, row)
    assert deconvnet(model, images(model.net)[0], row).pixels.abs().amax((1, 2, 3)).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("alexnet", ("C1", "S1", "C2", "C3", "C5", "S5")),
        ("zfnet", ("C1", "S1", "C3", "C5", "S5")),
        ("vgg11", ("C11", "C32", "S5")),
        ("googlenet", ("conv2", "3a", "4e", "5b")),
    ],
)
def test_a_net_is_projected_by_the_plain_definition_in_full_size(
    name: str, rows: tuple[str, ...]
) -> None:
    model = random_model(cut_after(name, rows[-1]))
    for row in rows:
        assert_equal(model, row)


@pytest.mark.parametrize("row", ["F6", "F8", "F8.fc"])
def test_a_unit_of_a_vector_is_projected(row: str) -> None:
    net = loads(
        "net small\ninput image 9x9x2\nC1: conv 3x3, 4 | relu\n"
        "F6: fc 6 | relu | dropout 0.5, scale=test\nF8: fc 5 | softmax\n",
        "small.net",
    )
    assert_equal(random_model(net), row)


@examples(150)
@given(nets(), st.integers(0, 99))
def test_drawn_nets_are_projected_by_the_plain_definition(text: str, seed: int) -> None:
    net = loads(text, "drawn.net")
    model = random_model(net, seed)
    for row in net.rows:
        assert_equal(model, row.label, seed)


def test_lenet5_with_its_table_and_tanh() -> None:
    net = netspec.load("lenet5")
    model = random_model(net)
    for row in ("C1", "S2", "C3", "S4", "C5", "F6"):
        assert_equal(model, row)


# ------------------------------------------------------------------------------ a second opinion


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize(("name", "row", "size"), [("vgg11", "S5", "32x32x3")])
def test_captum_gives_the_same(name: str, row: str, size: str) -> None:
    # captum does not have the rule that passes a normalisation over, so a net without them
    model = random_model(cut_after(name, row, size))
    (batch,) = images(model.net, batch=2)
    projected = deconvnet(model, batch, row)
    for number, (channel, position) in enumerate(
        zip(projected.maps.tolist(), projected.positions.tolist(), strict=True)
    ):
        image = batch[number : number + 1].requires_grad_()
        attribution = Deconvolution(model).attribute(image, target=(channel, *position))
        # captum carries back a signal of 1; every rule scales with a signal that is not negative
        expected = attribution[0].detach() * projected.activations[number]
        largest = expected.abs().max()
        assert (projected.pixels[number] - expected).abs().max() <= TOLERANCE * largest


# ---------------------------------------------------------------------------------- the arguments


def small(rows: str = "C1: conv 3x3, 4 | relu\nS1: maxpool 2x2/2\n") -> Model:
    return random_model(loads(f"net small\ninput image 9x8x2\n{rows}", "small.net"))


def test_the_strongest_activation_of_the_row_is_the_default() -> None:
    model = small()
    (batch,) = images(model.net, batch=5)
    y = model.features("C1")(batch)
    projected = deconvnet(model, batch, "C1")
    assert projected.activations.tolist() == y.amax((1, 2, 3)).tolist()
    for n in range(5):
        at = (n, projected.maps[n], *projected.positions[n])
        assert y[at] == projected.activations[n]


def test_a_map_and_a_position_are_chosen() -> None:
    model = small()
    (batch,) = images(model.net, batch=2)
    y = model.features("C1")(batch)
    of_map = deconvnet(model, batch, "C1", 2)
    assert of_map.maps.tolist() == [2, 2]
    assert of_map.activations.tolist() == y[:, 2].amax((1, 2)).tolist()
    at = deconvnet(model, batch, "C1", [0, 3], [(0, 0), (6, 5)])
    assert at.activations.tolist() == [y[0, 0, 0, 0], y[1, 3, 6, 5]]
    assert at.positions.tolist() == [[0, 0], [6, 5]]


def test_the_projection_of_a_batch_is_that_of_each_image() -> None:
    model = small()
    (batch,) = images(model.net, batch=3)
    together = deconvnet(model, batch, "S1").pixels
    for number in range(3):
        alone = deconvnet(model, batch[number : number + 1], "S1").pixels
        torch.testing.assert_close(together[number : number + 1], alone, rtol=1e-12, atol=1e-14)


def test_the_first_of_equal_activations_is_taken() -> None:
    model = small("C1: conv 1x1, 3, bias=off\n")
    ones = torch.ones(1, 2, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        model.C1.weight.fill_(1)
    projected = deconvnet(model, ones, "C1")
    assert projected.maps.tolist() == [0]
    assert projected.positions.tolist() == [[0, 0]]


def test_a_silent_map_projects_to_nothing() -> None:
    model = small()
    with torch.no_grad():
        model.C1.weight.fill_(0)
        model.C1.bias.fill_(-1)
    projected = deconvnet(model, images(model.net)[0], "C1", 1)
    assert not projected.activations.any()
    assert not projected.pixels.any()


def test_the_input_itself_is_projected_to_itself() -> None:
    model = small()
    (batch,) = images(model.net, batch=1)
    projected = deconvnet(model, batch, "image", 1, [(2, 3)])
    assert projected.pixels.count_nonzero() == 1
    assert projected.pixels[0, 1, 2, 3] == batch[0, 1, 2, 3]


def test_a_projection_is_within_the_receptive_field() -> None:
    net = cut_after("googlenet", "3a", "64x64x3")
    model = random_model(net)
    (batch,) = images(net)
    projected = deconvnet(model, batch, "3a", 5, [(0, 0), (3, 3), (7, 7)])
    for pixels, position in zip(projected.pixels, projected.positions.tolist(), strict=True):
        box = crop_of(net.graph, "3a", tuple(position))
        assert pixels[box.of_tensor].any()
        assert pixels.count_nonzero() == pixels[box.of_tensor].count_nonzero()


# ------------------------------------------------------------------------------------- refusals


def test_unknown_rows_maps_and_positions() -> None:
    model = small()
    (batch,) = images(model.net, batch=2)
    with pytest.raises(LabelError, match="no row or stage 'C2'"):
        deconvnet(model, batch, "C2")
    with pytest.raises(ValueError, match="C1 has the maps 0 to 3, and no map 4"):
        deconvnet(model, batch, "C1", 4)
    with pytest.raises(ValueError, match="no map -1"):
        deconvnet(model, batch, "C1", [0, -1])
    with pytest.raises(ValueError, match="2 images and 1 maps"):
        deconvnet(model, batch, "C1", [0])
    with pytest.raises(ValueError, match=r"a map of C1 is 7 x 6: \(7, 0\) is outside"):
        deconvnet(model, batch, "C1", 0, [(7, 0), (0, 0)])
    with pytest.raises(ValueError, match="2 images and 1 positions"):
        deconvnet(model, batch, "C1", 0, [(0, 0)])


def test_an_operator_without_a_rule_is_named() -> None:
    model = small("C1: conv 3x3, 4\nX: mul { identity; sigmoid }\nY: conv 1x1, 2\n")
    with pytest.raises(DataError, match=r"Y of small cannot be projected.*: X\.mul is `mul`"):
        deconvnet(model, images(model.net)[0], "Y")
    assert deconvnet(model, images(model.net)[0], "C1").pixels.any()


def test_a_net_with_two_inputs_is_refused() -> None:
    net = loads("net two\ninput a 4x4x2\ninput b 4x4x2\nX from a, b: add\n", "two.net")
    with pytest.raises(DataError, match="two does not have one image as its input"):
        deconvnet(netspec.reference(net), torch.zeros(1, 2, 4, 4), "X")


def test_activations_that_are_not_finite_are_refused() -> None:
    model = small()
    batch = torch.full((1, 2, 9, 8), 1e308, dtype=torch.float64)
    with torch.no_grad():
        model.C1.weight.fill_(1e10)
    with pytest.raises(DataError, match="the activations of C1 of small are not finite"):
        deconvnet(model, batch, "C1")


WITHOUT = {
    *("abs", "elu", "gelu", "hardswish", "leaky_relu", "mul", "prelu", "rbf", "silu"),
}
"""Operators that are not linear, do not have switches and are not rectifiers: no rule is known."""


def test_every_operator_has_a_rule_or_is_known_to_have_none() -> None:
    ops = {word: sample(kind)[0] for word, kind in OPERATORS.items()}
    assert {word for word, op in ops.items() if rule_of(op) is None} == WITHOUT


def test_a_signal_is_rectified_where_results_are_never_negative() -> None:
    assert rule_of(Clip(low=0, high=1)) is Rule.RECTIFIED
    assert rule_of(Clip(low=-0.1, high=1)) is Rule.PASSED
    assert rule_of(Relu6()) is Rule.RECTIFIED


BUNDLED = sorted(netspec.bundled())


def test_every_bundled_net_is_projected_from_its_last_row() -> None:
    refused = {}
    for name in BUNDLED:
        net: Net = netspec.load(name)
        for stage in net.graph.stages():
            if rule_of(stage.op) is None and stage.name not in net.graph.inputs:
                refused.setdefault(name, stage.op.name)
    assert refused == {"lenet5_rbf": "rbf"}
