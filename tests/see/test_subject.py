"""The net of a picture: a run, an artifact, a spec with weights, or a model; and right classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.errors import DataError
from netspec.see.subject import known_class, open_seen, right_class
from tests.see.nets import corner_net


def test_every_form_of_a_net_is_the_same_net(run: Path, tmp_path: Path) -> None:
    artifact = netspec.save(run, tmp_path / "a.netspec").path
    weights = run / "weights.safetensors"
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    opened = [
        open_seen(run),
        open_seen(artifact),
        open_seen(run / "spec.net", weights=weights),
        open_seen(netspec.compile(run)),
    ]
    outputs = [seen.outputs(images) for seen in opened]
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    assert [seen.called for seen in opened] == [
        f"small, run {run.name}",
        "small, artifact a.netspec",
        "small, weights weights.safetensors",
        "small",
    ]


def test_modules_of_rows_are_called_so_hooks_run() -> None:
    seen = open_seen("lenet5")
    told = []
    handle = seen.model.get_submodule("C3").register_forward_hook(
        lambda module, x, y: told.append(tuple(y.shape))
    )
    seen.outputs(torch.zeros(1, 1, 32, 32))
    handle.remove()
    assert told == [(1, 16, 10, 10)]
    assert not any(parameter.requires_grad for parameter in seen.model.parameters())


def test_the_right_class_is_the_label_else_the_folder_else_the_most_probable() -> None:
    seen = open_seen(corner_net())
    output = torch.tensor([0.2, 0.8])
    for image, label, expected in (
        ("dark/a.png", "bright", (0, "given")),
        ("dark/a.png", 0, (0, "given")),
        ("dark/a.png", None, (1, "folder")),
        ("bright/a.png", None, (0, "folder")),
        ("somewhere/a.png", None, (1, "most probable")),
        ("a.png", None, (1, "most probable")),
    ):
        right = right_class(seen, image, label, output)
        assert (right.number, right.origin) == expected
    assert known_class(seen, "somewhere/a.png") is None


def test_a_name_that_is_a_number_is_a_name_first() -> None:
    seen = open_seen(corner_net(classes=("1", "0")))
    right = known_class(seen, "a.png", "1")
    assert right is not None
    assert right.number == 0


TWO = """net two
input left 8x8x3
input right 8x8x3
A from left: conv 3x3, 4 | relu
B from right: conv 3x3, 4 | relu
J from A, B: add
F: fc 5 | softmax
"""


@pytest.mark.parametrize(
    "picture",
    ["activations", "predictions", "projection", "occlusion", "invariance", "neighbours", "top9",
     "codes", "confusion"],
)  # fmt: skip
def test_a_net_with_several_inputs_is_refused_where_images_are_shown_to_it(picture: str) -> None:
    net, image = netspec.loads(TWO), np.zeros((8, 8, 3), np.uint8)
    arguments = {"neighbours": {"images": image}, "top9": {}, "codes": {}, "confusion": {}}
    options = arguments.get(picture)
    show = getattr(netspec.see, picture)
    with pytest.raises(
        DataError, match=r"two has (the inputs left, right|2 inputs)|one image as its"
    ):
        show(net, image) if options is None else show(net, data="digits:8", **options)
    assert netspec.see.filters(net).row == "A"


@pytest.mark.parametrize(
    ("picture", "rows"),
    [
        ("activations", {"row": 3}),
        ("occlusion", {"row": 3}),
        ("projection", {"row": 3}),
        ("projection", {"row": [3]}),
        ("invariance", {"rows": 3}),
        ("invariance", {"rows": (3, 3)}),
    ],
)
def test_a_row_is_a_string(picture: str, rows: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"rows? must be (the name of a row|two rows)"):
        getattr(netspec.see, picture)("lenet5", np.zeros((32, 32), np.uint8), **rows)


@pytest.mark.parametrize(
    ("picture", "argument"),
    [("activations", "maps"), ("top9", "maps"), ("evolution", "epochs"), ("neighbours", "queries")],
)
def test_numbers_are_a_sequence_of_integers(picture: str, argument: str, run: Path) -> None:
    show = getattr(netspec.see, picture)
    images = (np.zeros((8, 8), np.uint8),) if picture == "activations" else ()
    with pytest.raises(TypeError, match=f"^{argument} must be a sequence of integers, not an obj"):
        show(run, *images, **{argument: 3})
    with pytest.raises(TypeError, match=f"^each of {argument} must be an integer from 0 to"):
        show(run, *images, **{argument: "12"})
    assert show(run, *images, **{argument: np.array([0, 1])})


def test_weights_that_are_not_finite_are_named() -> None:
    model = corner_net()
    with torch.no_grad():
        model.get_submodule("F2").bias[1] = float("inf")
    with pytest.raises(DataError, match=r"weights of corner are not finite: F2\.bias is infinite"):
        open_seen(model)


def test_options_of_other_forms_are_refused(run: Path) -> None:
    with pytest.raises(DataError, match="weights does not apply to a run"):
        open_seen(run, weights="digits")
