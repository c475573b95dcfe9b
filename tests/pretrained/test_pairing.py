from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec.ir.ops.bn import BatchNorm
from netspec.pretrained import matching
from netspec.pretrained.layers import Layer, Weights
from netspec.pretrained.layouts import Misfit, fitted
from netspec.pretrained.pairing import by_structure
from netspec.pretrained.pairs import Pairing
from netspec.pretrained.unpaired import Unpaired
from tests.examples import examples
from tests.helpers import loaded, some_by_default
from tests.pretrained.examples import CONCRETE, layer_like, trained, weights_of

HELD_OUT = {
    "a projection that a file defines last": """
        net a
        default bn eps=1e-3
        block c(k) = conv k, 8, pad=half, bias=off | bn
        input image 8x8x4
        R1: add { c 1x1; c 3x3 | relu | c 3x3 } | relu
        R2: add { c 3x3 | relu | c 3x3; identity } | relu
        F3: gap | fc 5
    """,
    "a projection of the shape of the other branch": """
        net a
        default bn eps=1e-3
        block c(k) = conv k, 8, pad=half, bias=off | bn
        input image 8x8x8
        R1: add { c 3x3 | relu | c 3x3; c 3x3 } | relu
        F3: gap | fc 5
    """,
    "a head in the middle": """
        net a
        input image 8x8x4
        C1: conv 3x3, 4, pad=1 | relu
        C2: conv 3x3, 4, pad=1 | relu
        F3: fc 5
        head aux from C1, weight=0.3: fc 5
    """,
    "branches of equal shape": """
        net a
        input image 8x8x4
        C1: concat { conv 1x1, 4; conv 1x1, 4; conv 3x3, 4, pad=1 }
        F2: fc 5
    """,
    "groups with the shape of fewer channels": """
        net a
        input image 8x8x4
        C1: conv 3x3, 4, pad=1, groups=2 | relu
        C2: conv 1x1, 2 | relu
        C3: conv 3x3, 4, pad=1
    """,
    "an fc of the size of a convolution": """
        net a
        input image 1x1x6
        C1: conv 1x1, 6 | relu
        F2: fc 6 | relu
        F3: fc 6
    """,
    "vectors of one length": """
        net a
        input image 4x4x6
        G1: gain 1 | prelu | ln eps=1e-3
        F2: conv 1x1, 6 | gn 2, eps=1e-3 | bn eps=1e-3 | gain 0.5
    """,
}  # fmt: skip
"""Nets in which the order of layers is not that of execution in some frameworks."""


def require_right_or_uncertain(pairing: Pairing, stages: dict[str, str]) -> int:
    """Return the number of wrong pairs, none of which may be certain."""
    wrong = [pair for pair in pairing.pairs if stages[pair.layer.name] != pair.stage]
    assert not [pair for pair in wrong if pair.is_certain]
    for pair in wrong:
        assert stages[pair.layer.name] in pair.rivals
    return len(wrong)


def file_of(layers: Sequence[Layer]) -> Weights:
    return Weights(Path("a.pth"), "pytorch", tuple(layers))


def layers_of(net: netspec.Net, order: Sequence[str] = ()) -> tuple[list[Layer], dict[str, str]]:
    """The layers of a net with the names of stages, in an order, and the stage of each."""
    names = order or [stage.name for stage in trained(net)]
    return [layer_like(net, name, name) for name in names], {name: name for name in names}


# ----------------------------------------------------------------------------- never wrong silently


@pytest.mark.parametrize("name", CONCRETE)
def test_bundled_nets_with_other_names_are_paired_right(name: str) -> None:
    net = loaded(name)
    weights, stages = weights_of(net)
    pairing = by_structure(net, weights)
    assert require_right_or_uncertain(pairing, stages) == 0  # the order is that of execution
    assert [pair.stage for pair in pairing.pairs] == [stage.name for stage in trained(net)]
    assert (pairing.without, pairing.unused) == ((), ())


@pytest.mark.parametrize("seed", [7, *(pytest.param(n, marks=pytest.mark.slow) for n in range(5))])
@pytest.mark.parametrize("name", some_by_default(CONCRETE))
def test_layers_in_any_order_are_paired_right_or_listed(name: str, seed: int) -> None:
    net = loaded(name)
    weights, stages = weights_of(net, seed=seed)
    require_right_or_uncertain(by_structure(net, weights), stages)


@pytest.mark.parametrize("name", HELD_OUT)
def test_other_orders_are_paired_right_or_listed(name: str) -> None:
    net = netspec.loads(HELD_OUT[name])
    assert require_right_or_uncertain(by_structure(net, (made := weights_of(net))[0]), made[1]) == 0
    for seed in range(20):
        weights, stages = weights_of(net, seed=seed)
        require_right_or_uncertain(by_structure(net, weights), stages)


ROWS = (
    "conv 1x1, 4", "conv 1x1, 4, bias=off", "conv 1x1, 4, groups=2", "deconv 1x1, 4", "gain 1",
    "prelu", "ln eps=1e-3", "gn 2, eps=1e-3", "bn eps=1e-3", "fc 4", "conv 1x1, 2 | conv 1x1, 4",
)  # fmt: skip


ALIKE = (
    ("conv 1x1, 4", "fc 4"),
    ("conv 1x1, 4", "deconv 1x1, 4", "fc 4"),
    ("conv 1x1, 4", "conv 1x1, 4, bias=off"),
    ("conv 1x1, 4", "conv 1x1, 4, bias=off", "deconv 1x1, 4"),
    ("conv 1x1, 4, bias=off", "conv 1x1, 4, bias=off", "fc 4"),
    ("conv 1x1, 4, groups=2", "conv 1x1, 2 | conv 1x1, 4"),
    ("gain 1", "prelu", "ln eps=1e-3"),
    ("gain 1", "ln eps=1e-3", "gn 2, eps=1e-3", "bn eps=1e-3"),
)
"""Rows that take some of each other's layers."""


@pytest.mark.parametrize("rows", ALIKE, ids=" | ".join)
def test_a_pair_of_alike_rows_is_certain_if_every_complete_pairing_has_it(
    rows: tuple[str, ...],
) -> None:
    for seed in range(20):
        require_certain_pairs_to_be_in_every_pairing(rows, random.Random(seed))


@examples(100)
@given(st.lists(st.sampled_from(ROWS), min_size=1, max_size=5), st.randoms())
def test_a_pair_is_certain_if_every_complete_pairing_has_it(
    rows: list[str], choice: random.Random
) -> None:
    require_certain_pairs_to_be_in_every_pairing(rows, choice)


def require_certain_pairs_to_be_in_every_pairing(
    rows: Sequence[str], choice: random.Random
) -> None:
    """Compare with all ways to pair the layers of a net as other frameworks have them."""
    last = sorted(rows, key=lambda row: row.startswith("fc"))  # an fc leaves no map
    text = "\n".join(f"R{number}: {row}" for number, row in enumerate(last))
    net = netspec.loads(f"net a\ninput image 1x1x4\n{text}\n")
    stages = [stage.name for stage in trained(net)]
    layers = [_varied(layer_like(net, name, name), choice) for name in stages]
    choice.shuffle(layers)
    fits = {(one.name, stage): _fits(one, net, stage) for one in layers for stage in stages}
    complete = list(_complete([layer.name for layer in layers], stages, fits))
    if not complete:  # a group of channels as a matrix
        with pytest.raises(Unpaired):
            by_structure(net, file_of(layers))
        return
    for pair in by_structure(net, file_of(layers)).pairs:
        assert fits[pair.layer.name, pair.stage]
        possible = {pairs[pair.layer.name] for pairs in complete}
        assert {*pair.rivals} == possible - {pair.stage}
        takers = {name for pairs in complete for name, own in pairs.items() if own == pair.stage}
        assert pair.is_certain == (possible == {pair.stage})
        assert pair.is_certain == (takers == {pair.layer.name})


def _complete(
    layers: Sequence[str], stages: Sequence[str], fits: Mapping[tuple[str, str], bool]
) -> Iterator[dict[str, str]]:
    """Every way to pair all layers with all stages."""
    if not layers:
        yield {}
    for stage in stages if layers else ():
        if fits[layers[0], stage]:
            for others in _complete(layers[1:], [one for one in stages if one != stage], fits):
                yield {layers[0]: stage, **others}


def _varied(layer: Layer, choice: random.Random) -> Layer:
    """A layer with a bias of zeros or none, as a matrix, or of a kind that a file does not tell."""
    tensors = dict(layer.tensors)
    if "bias" in tensors:
        tensors["bias"] = torch.full(tensors["bias"].shape, float(choice.random() < 0.7))
        if choice.random() < 0.3:
            del tensors["bias"]
    weight = tensors.get("weight", torch.zeros(0))
    if layer.kind == "conv" and choice.random() < 0.3 and weight.shape[2:] == (1, 1):
        return replace(layer, kind="fc", tensors={**tensors, "weight": weight.flatten(1)})
    kind = "conv" if layer.kind == "deconv" and choice.random() < 0.5 else layer.kind
    return replace(layer, kind=kind, tensors=tensors)


def _fits(layer: Layer, net: netspec.Net, stage: str) -> bool:
    try:
        fitted(layer, net, stage)
    except Misfit:
        return False
    return True


# ------------------------------------------------------------------------------------------- order


def test_the_order_of_a_file_decides_between_equal_shapes_and_says_so() -> None:
    net = netspec.loads(HELD_OUT["branches of equal shape"])
    weights, _ = weights_of(net)
    reasons = {pair.stage: (pair.reason, pair.rivals) for pair in by_structure(net, weights).pairs}
    assert reasons == {
        "C1.b1": ("order", ("C1.b2",)),
        "C1.b2": ("order", ("C1.b1",)),
        "C1.b3": ("shape", ()),
        "F2": ("shape", ()),
    }


def test_a_normalisation_follows_its_convolution() -> None:
    """As torchvision defines a block: the projection last, which the spec has first."""
    net = netspec.loads(HELD_OUT["a projection that a file defines last"])
    order = [
        "R1.b2.conv1", "R1.b2.bn1", "R1.b2.conv2", "R1.b2.bn2", "R1.b1.conv", "R1.b1.bn",
        "R2.b1.conv1", "R2.b1.bn1", "R2.b1.conv2", "R2.b1.bn2", "F3",
    ]  # fmt: skip
    layers, stages = layers_of(net, order)
    assert require_right_or_uncertain(by_structure(net, file_of(layers)), stages) == 0


def test_normalisations_that_a_file_lists_after_all_convolutions_keep_their_order() -> None:
    net = netspec.loads(HELD_OUT["a projection of the shape of the other branch"])
    names = [stage.name for stage in trained(net)]
    order = [n for n in names if "conv" in n] + [n for n in names if "bn" in n] + ["F3"]
    layers, stages = layers_of(net, order)
    assert require_right_or_uncertain(by_structure(net, file_of(layers)), stages) == 0


# ------------------------------------------------------------------------------------------- heads


def caffe_order(net: netspec.Net) -> list[str]:
    """The stages of GoogLeNet with heads where they leave the net: after 4a and 4d."""
    names = [stage.name for stage in trained(net)]
    order = [name for name in names if not name.startswith("aux")]
    for head, before in (("aux1", "4b.b1"), ("aux2", "4e.b1")):
        place = next(number for number, name in enumerate(order) if name.startswith(before))
        order[place:place] = [name for name in names if name.startswith(head)]
    return order


def order_of_heads(net: netspec.Net, place: str) -> list[str]:
    """The stages of a net like GoogLeNet in the order of Caffe, torchvision or the spec."""
    names = [stage.name for stage in trained(net)]
    heads = [name for name in names if name.startswith("aux")]
    others = [name for name in names if name not in heads]
    orders = {
        "where they leave": caffe_order(net),
        "before the last layer": [*others[:-1], *heads, *others[-1:]],
        "last": [*others, *heads],
    }
    return orders[place]


PLACES = ("where they leave", "before the last layer", "last")


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
@pytest.mark.parametrize("place", PLACES)
def test_heads_may_come_at_several_places(name: str, place: str) -> None:
    net = loaded(name)
    layers, stages = layers_of(net, order_of_heads(net, place))
    assert require_right_or_uncertain(by_structure(net, file_of(layers)), stages) == 0


def test_a_head_may_be_without_layers_and_is_a_rival() -> None:
    net = netspec.loads(HELD_OUT["a head in the middle"])
    weights, stages = weights_of(net)
    (head,) = [name for name, stage in stages.items() if stage == "aux"]
    left = file_of([layer for layer in weights.layers if layer.name != head])
    pairing = by_structure(net, left)
    assert pairing.without == ("aux",)
    assert require_right_or_uncertain(pairing, stages) == 0
    (last,) = [pair for pair in pairing.pairs if pair.stage == "F3"]
    assert (last.reason, last.rivals) == ("order", ("aux",))


def test_a_layer_that_fits_a_head_in_another_form_is_not_certain() -> None:
    net = netspec.loads("""
        net a
        input image 8x8x4
        C1: conv 3x3, 4, pad=1 | relu
        F3: fc 5
        head aux from C1, weight=0.3: conv 8x8, 5
    """)
    layers, _ = layers_of(net, ["C1", "F3"])
    pairs = by_structure(net, file_of(layers)).pairs
    assert [(pair.stage, pair.reason, pair.rivals) for pair in pairs] == [
        ("C1", "shape", ()), ("F3", "order", ("aux",)),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_heads_without_layers_are_listed_and_change_nothing_else(name: str) -> None:
    net = loaded(name)
    heads = [stage.name for stage in trained(net) if stage.head]
    layers, stages = layers_of(net, [s.name for s in trained(net) if not s.head])
    pairing = by_structure(net, file_of(layers))
    assert list(pairing.without) == heads
    assert require_right_or_uncertain(pairing, stages) == 0


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
@pytest.mark.parametrize("place", PLACES)
def test_heads_of_the_source_are_unused(name: str, place: str) -> None:
    net = loaded(name)
    layers, stages = layers_of(net, order_of_heads(net, place))
    pairing = by_structure(net.without_heads(), file_of(layers))
    assert [layer.name for layer in pairing.unused] == [n for n in stages if n.startswith("aux")]
    assert require_right_or_uncertain(pairing, stages) == 0
    certain = {pair.stage for pair in pairing.pairs if pair.is_certain}
    assert "out" not in certain  # as large as the classifiers of the heads
    assert certain >= {"conv1" if name == "googlenet" else "conv1.conv"}


def test_the_head_of_inception_v3_is_unused() -> None:
    net = loaded("inception_v3")
    names = [stage.name for stage in trained(net)]
    order = [name for name in names if not name.startswith("aux")]
    place = order.index("7a.b1.conv1")
    order[place:place] = [name for name in names if name.startswith("aux")]
    layers, stages = layers_of(net, order)
    pairing = by_structure(net.without_heads(), file_of(layers))
    assert [layer.name for layer in pairing.unused] == [n for n in names if n.startswith("aux")]
    assert require_right_or_uncertain(pairing, stages) == 0


def test_a_layer_that_an_unused_one_could_replace_is_not_certain() -> None:
    net = netspec.loads("net a\ninput image 8x8x4\nC1: conv 3x3, 4\nF2: gap | fc 5\n")
    layers, _ = layers_of(net)
    head = [
        Layer(name, "conv", {"weight": torch.ones(shape)}, {})
        for name, shape in (("h1", (4, 4, 5, 5)), ("h2", (5, 4, 1, 1)))
    ]
    pairing = by_structure(net, file_of([layers[0], *head, layers[1]]))
    assert [layer.name for layer in pairing.unused] == ["h1", "h2"]
    assert [(pair.stage, pair.layer.name, pair.reason) for pair in pairing.pairs] == [
        ("C1", "C1", "shape"), ("F2", "F2", "order"),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("change", ["missing", "double"])
@pytest.mark.parametrize("name", ["lenet5", "resnet18", "vgg11", "googlenet"])
def test_a_wrong_number_of_layers_names_rows_and_shape(name: str, change: str) -> None:
    net = loaded(name)
    weights, stages = weights_of(net)
    first = weights.layers[0]
    layers = weights.layers[1:] if change == "missing" else (first, *weights.layers)
    with pytest.raises(Unpaired) as caught:
        by_structure(net, file_of(layers))
    shape = "x".join(map(str, first.tensors["weight"].shape))
    assert stages[first.name] in str(caught.value)
    assert shape in str(caught.value)


@pytest.mark.parametrize(
    ("source", "spec"), [("vgg19", "vgg16_3"), ("vgg16_3", "vgg19"), ("resnet34", "resnet18")]
)
def test_the_layers_of_another_depth_are_refused(source: str, spec: str) -> None:
    """The layers of vgg16 are among those of vgg19 in their order, and the others are no head."""
    layers, _ = layers_of(loaded(source))
    with pytest.raises(Unpaired):
        by_structure(loaded(spec), file_of(layers))


def test_an_extra_layer_of_equal_shape_is_refused() -> None:
    """It has as many outputs as the net, and could be any of three."""
    net = netspec.loads("net a\ninput x 10\nF1: fc 10 | relu\nF2: fc 10\n")
    layers, _ = layers_of(net, ["F1", "F1", "F2"])
    with pytest.raises(Unpaired, match="no row takes F1, fc 10x10"):
        by_structure(net, file_of(layers))


def test_a_file_with_heads_is_compared_with_all_rows() -> None:
    net = loaded("googlenet")
    layers, _ = layers_of(net)
    with pytest.raises(Unpaired) as caught:
        by_structure(net, file_of(layers[1:]))
    assert caught.value.table == ("conv 64x3x7x7  1 row: conv1  no layer",)


def test_a_layer_that_no_row_takes_is_refused() -> None:
    net = loaded("lenet5")
    layers, _ = layers_of(net)
    extra = Layer("extra", "fc", {"weight": torch.zeros(3, 7)}, {"weight": "extra.weight"})
    with pytest.raises(Unpaired) as caught:
        by_structure(net, file_of([*layers, extra]))
    assert str(caught.value) == (
        "the layers in a.pth are not those of lenet5: no row takes extra, fc 3x7:\n"
        "  fc 3x7  no row  1 layer: extra"
    )


SMALL = """
net small
input image 16x16x3
C1: conv 11x11, 96 | relu
C2: conv 3x3, 8, pad=1 | relu
C3: conv 3x3, 8, pad=1 | relu
C4: conv 3x3, 8, pad=1 | relu
F5: fc 10
"""


def test_the_first_difference_and_a_table_of_all_are_shown() -> None:
    net = netspec.loads(SMALL)
    layers, _ = layers_of(net, ["C1", "C2", "C3", "C3", "C3", "F5"])
    smaller = {"weight": torch.zeros(64, 3, 11, 11), "bias": torch.zeros(64)}
    with pytest.raises(Unpaired) as caught:
        by_structure(net, file_of([Layer("features.0", "conv", smaller, {}), *layers[1:]]))
    assert str(caught.value) == (
        "the layers in a.pth are not those of small: C1 expects conv 96x3x11x11, and the file has "
        "none; the closest is features.0, conv 64x3x11x11:\n"
        "  conv 64x3x11x11  no row          1 layer: features.0\n"
        "  conv 8x8x3x3     2 rows: C3, C4  3 layers: C3, C3, C3\n"
        "  conv 96x3x11x11  1 row: C1       no layer"
    )


def test_a_row_that_lacks_one_of_several_layers_is_named() -> None:
    net = netspec.loads(SMALL)
    layers, _ = layers_of(net, ["C1", "C2", "C3", "F5"])
    with pytest.raises(Unpaired) as caught:
        by_structure(net, file_of(layers))
    assert str(caught.value) == (
        "the layers in a.pth are not those of small: C3 expects conv 8x8x3x3, and the file does "
        "not have enough of these:\n"
        "  conv 8x8x3x3  2 rows: C3, C4  1 layer: C3"
    )


def test_a_long_table_is_cut() -> None:
    rows = "\n".join(f"C{n}: conv 1x1, {n + 3}" for n in range(9))
    net = netspec.loads(f"net a\ninput image 2x2x3\n{rows}\n")
    with pytest.raises(Unpaired) as caught:
        by_structure(net, file_of([]))
    assert len(caught.value.table) == 7
    assert caught.value.table[-1] == "...           3 more shapes"


# ------------------------------------------------------------------------------------------- folds


def folded_file(net: netspec.Net) -> list[Layer]:
    """The layers of an export, in which each bias is the number of its convolution."""
    graph, layers = net.graph, list[Layer]()
    for number, stage in enumerate(trained(net)):
        layer = layer_like(net, stage.name, stage.name)
        (before, *_) = graph.operands(stage.name)
        after = [graph.stage(name).op for name in graph.consumers(stage.name)]
        if stage.op.name == "conv" and len(after) == 1 and isinstance(after[0], BatchNorm):
            bias = torch.full((len(layer.tensors["weight"]),), float(number))
            tensors = {**layer.tensors, "bias": bias}
            layers.append(replace(layer, tensors=tensors, names={"weight": "w", "bias": "b"}))
        elif stage.op.name != "bn" or graph.stage(before).op.name != "conv":
            layers.append(layer)
    return layers


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "inception_v3", "mobilenet_v2"])
def test_normalisations_that_were_folded_are_made_again(name: str) -> None:
    """Those of DenseNet that follow a concatenation or a pool are left in the file."""
    net = loaded(name)
    pairing = by_structure(net, file_of(folded_file(net)))
    stages = [stage.name for stage in trained(net)]
    assert [pair.stage for pair in pairing.pairs] == stages
    for pair in pairing.pairs:
        fitted(pair.layer, net, pair.stage)
        op = net.graph.stage(pair.stage).op
        if isinstance(op, BatchNorm) and pair.layer.name.endswith(" (folded)"):
            (before,) = net.graph.operands(pair.stage)
            assert pair.layer.name == f"{before} (folded)"
            assert pair.layer.tensors["bias"][0] == stages.index(before)
            assert pair.layer.tensors["running_var"][0] == 1 - op.eps
            assert all(net.graph.stage(rival).op.name == "bn" for rival in pair.rivals)


def test_a_fold_has_the_epsilon_of_its_own_stage() -> None:
    net = netspec.loads("""
        net a
        input image 4x4x3
        C1: conv 1x1, 3, bias=off | bn eps=1e-3
        C2: conv 1x1, 3, bias=off | bn eps=1e-5
    """)
    pairing = by_structure(net, file_of(folded_file(net)))
    variances = [
        float(pair.layer.tensors["running_var"][0])
        for pair in pairing.pairs
        if pair.layer.kind == "norm"
    ]
    assert variances == [1 - 1e-3, 1 - 1e-5]
    assert [pair.rivals for pair in pairing.pairs] == [
        ("C2.conv",),
        ("C2.bn",),
        ("C1.conv",),
        ("C1.bn",),
    ]


def test_a_normalisation_is_not_folded_into_a_layer_that_others_read() -> None:
    net = netspec.loads("""
        net a
        input image 4x4x3
        C1: conv 1x1, 3, bias=off
        R2: add { bn eps=1e-3; identity }
    """)
    tensors = {"weight": torch.ones(3, 3, 1, 1), "bias": torch.ones(3)}
    with pytest.raises(Unpaired):
        by_structure(net, file_of([Layer("conv", "conv", tensors, {})]))


# -------------------------------------------------------------------------------------------- costs


@pytest.mark.parametrize("step", [0, 1])
def test_work_grows_with_the_number_of_forms(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 300
    rows = "\n".join(f"C{n}: conv 1x1, {3 + n * step}" for n in range(count))
    net = netspec.loads(f"net a\ninput image 2x2x3\n{rows}\n")
    weights, stages = weights_of(net)
    calls = []
    monkeypatch.setattr(matching, "fitted", lambda *given: calls.append(given) or fitted(*given))
    assert require_right_or_uncertain(by_structure(net, weights), stages) == 0
    assert len(calls) == (count if step else 1)


def test_large_matrices_are_not_reordered_to_see_that_they_fit() -> None:
    """Reordered, this one would take 400 GB."""
    net = netspec.loads("net a\ninput image 1000x1000x2\nF1: fc 50000\n")
    weight = torch.zeros(2_050_000).as_strided((50_000, 2_000_000), (1, 1))
    tensors = {"weight": weight, "bias": torch.ones(50_000)}
    pairing = by_structure(net, file_of([Layer("dense", "fc", tensors, {}, "hwc")]))
    assert [(pair.layer.name, pair.stage) for pair in pairing.pairs] == [("dense", "F1")]
