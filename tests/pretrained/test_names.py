"""Tables of families have the names and shapes of real models, as peers/record.py recorded them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from netspec.ir.symbols import by
from netspec.pretrained.families import families, family_of
from netspec.pretrained.layers import Layer, Weights, kind_of
from netspec.pretrained.layouts import fitted, shapes_of
from tests.helpers import loaded

FOLDER = Path(__file__).parent / "names"
ROLES = {
    1: ("weight",),
    2: ("weight", "bias"),
    3: ("bias", "running_mean", "running_var"),
    4: ("weight", "bias", "running_mean", "running_var"),
}
"""The tensors of a layer by their number: of a convolution or an fc, or of a normalisation."""

OF_PEERS = ("torchvision", "timm", "keras")
RECORDED = sorted(FOLDER.glob("*.txt"))


def as_text(spec: str, format: str, layers: Sequence[Layer]) -> str:
    """The text of a file: the inverse of :func:`weights_in`."""
    lines = [f"{spec} {format}"]
    for layer in layers:
        assert layer.tensors.keys() == {*ROLES[len(layer.tensors)]}
        shapes = [by(tuple(layer.tensors[role].shape)) for role in ROLES[len(layer.tensors)]]
        lines.append(" ".join([layer.name, *shapes]))
    return "\n".join([*lines, ""])


def weights_in(path: Path) -> tuple[str, Weights]:
    """The spec that a file names, and its layers, whose values take no memory."""
    (spec, format), *lines = [
        line.split() for line in path.read_text(encoding="utf-8").splitlines()
    ]
    layers = []
    for name, *shapes in lines:
        tensors = {
            role: torch.empty([int(size) for size in shape.split("x")], device="meta")
            for role, shape in zip(ROLES[len(shapes)], shapes, strict=True)
        }
        layers.append(Layer(name, kind_of(tensors), tensors, {role: role for role in tensors}))
    return spec, Weights(path, format, tuple(layers))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: str(path.stem))
def test_names_and_shapes_are_those_of_the_table(path: Path) -> None:
    spec, weights = weights_in(path)
    family = family_of(weights)
    assert family is not None
    assert family.spec == spec
    net = loaded(spec)
    pairing = family.pairing(weights)
    assert not pairing.unused
    needed = {stage.name for stage in net.without_heads().graph.stages()}
    assert not needed & {*pairing.without}
    assert len(pairing.pairs) == len(weights.layers)
    for pair in pairing.pairs:
        shapes = {
            role: tuple(one.shape) for role, one in fitted(pair.layer, net, pair.stage).items()
        }
        assert shapes == shapes_of(net, pair.stage)


def test_every_table_for_torchvision_timm_and_keras_is_compared() -> None:
    recorded = [family_of(weights_in(path)[1]) for path in RECORDED]
    names = {family.name for family in recorded if family is not None}
    tables = {family.name for family in families()}
    others = {name for name in tables - names if name.partition("_")[0] in OF_PEERS}
    assert others == {"torchvision_densenet121_2017"}  # the file's names; torchvision has others
