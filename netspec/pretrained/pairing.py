"""Pair the layers of a file with the stages of a net by structure: kind, shape and order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from typing import TypeAlias

from netspec.errors import DataError
from netspec.files.members import shown
from netspec.ir.graph import Stage
from netspec.ir.symbols import by
from netspec.net import Net
from netspec.pretrained.layers import Layer, Weights
from netspec.pretrained.layouts import shapes_of, unfolded
from netspec.pretrained.pairs import Pair, Pairing

Form: TypeAlias = tuple[str, tuple[int, ...]]
"""What the tensors of a layer show of it: a kind, and the shape of its weight."""

SHOWN_AT_MOST = 4


class Unpaired(DataError):
    """A file whose layers are not those of a net."""


def by_structure(net: Net, weights: Weights) -> Pairing:
    """Return which layer each stage takes, by kind, shape and order.

    Layers and stages are grouped by their forms.  A group with one layer and one stage is certain.
    In a larger group the layers are taken in their order by the stages in order of execution; such
    a pair is of the reason ``order`` and names its rivals, since files may have another order.
    Stages of auxiliary heads may be without layers.

    Raises:
        Unpaired: a group does not have as many layers as stages.
    """
    layers = _without_folds(net, weights.layers)
    stages = [stage for stage in net.graph.stages() if stage.op.is_trained]
    needed = {stage.name for stage in net.without_heads().graph.stages()}
    available = defaultdict[Form, list[Layer]](list)
    for layer in layers:
        available[_form_of(layer)].append(layer)
    takers = defaultdict[Form, list[str]](list)
    for stage in stages:
        forms = _forms_taken(net, stage)
        takers[next((form for form in forms if form in available), forms[0])].append(stage.name)
    pairs: dict[str, Pair] = {}
    without: list[str] = []
    for form, names in takers.items():
        group = available.pop(form, [])
        chosen = names if len(group) == len(names) else [n for n in names if n in needed]
        if len(group) != len(chosen):
            raise _unpaired(net, weights, form, chosen or names, group)
        without += [name for name in names if name not in chosen]
        reason = "shape" if len(names) == 1 else "order"
        for layer, name in zip(group, chosen, strict=True):
            rivals = tuple(other for other in names if other != name)
            pairs[name] = Pair(layer, name, reason, rivals)
    unused = tuple(layer for group in available.values() for layer in group)
    order = [stage.name for stage in stages]
    return Pairing(
        tuple(pairs[name] for name in order if name in pairs),
        tuple(name for name in order if name in without),
        unused,
    )


def _form_of(layer: Layer) -> Form:
    """Return the form of a layer."""
    shapes = {role: tuple(tensor.shape) for role, tensor in layer.tensors.items()}
    if "running_mean" in shapes:
        return "bn", shapes["running_mean"]
    if layer.kind in ("conv", "deconv", "fc") and "weight" in shapes:
        return layer.kind, shapes["weight"]
    if len(shapes) == 1:  # a PReLU's slope, a gain
        return "vector", (prod(next(iter(shapes.values()))),)
    if layer.kind == "norm" and shapes.keys() == {"weight", "bias"}:
        return "norm", shapes["weight"]
    return "other", tuple(size for role in sorted(shapes) for size in shapes[role])


def _forms_taken(net: Net, stage: Stage) -> list[Form]:
    """Return the forms of layers that a stage takes, the usual one first."""
    shapes = shapes_of(net, stage.name)
    if "running_mean" in shapes:
        return [("bn", shapes["running_mean"])]
    weight = shapes.get("weight", ())
    operand = net.graph.shapes_into(stage.name)[0]
    if stage.op.name == "fc":
        height, width, channels = operand if operand.is_map else (1, 1, operand.elements)
        return [("fc", weight), ("conv", (weight[0], channels, height, width))]
    if stage.op.name == "conv" and len(weight) == 4:
        return [("conv", weight), ("fc", (weight[0], prod(weight[1:])))]
    if stage.op.name == "deconv":  # a state dict does not tell it from a convolution
        return [("deconv", weight), ("conv", weight)]
    if len(shapes) == 1:
        return [("vector", (prod(next(iter(shapes.values()))),))]
    if shapes.keys() == {"weight", "bias"} and len(weight) == 1:
        return [("norm", weight)]
    return [("other", tuple(size for role in sorted(shapes) for size in shapes[role]))]


def _without_folds(net: Net, layers: Sequence[Layer]) -> list[Layer]:
    """Return layers as a net has them: with normalisations, if all were folded into convolutions.

    A convolution with a bias becomes two layers if the spec follows convolutions of its shape by a
    normalisation, and the file does not have any.
    """
    norms: dict[Form, float] = {}
    for stage in net.graph.stages():
        if stage.op.name == "bn":
            (operand,) = net.graph.operands(stage.name)
            before = net.graph.stage(operand)
            if before.op.name == "conv" and "bias" not in shapes_of(net, operand):
                norms[_forms_taken(net, before)[0]] = float(getattr(stage.op, "eps"))  # noqa: B009
    if not norms or any("running_mean" in layer.tensors for layer in layers):
        return list(layers)
    split: list[Layer] = []
    for layer in layers:
        form = _form_of(layer)
        if form in norms and "bias" in layer.tensors:
            split += unfolded(layer, norms[form])
        else:
            split.append(layer)
    return split


def _unpaired(
    net: Net, weights: Weights, form: Form, names: Sequence[str], group: Sequence[Layer]
) -> Unpaired:
    """Return the error of a group with different numbers of layers and stages."""
    kind, shape = form
    what = f"{'layer' if kind in ('other', 'vector') else kind} of {by(shape)}"
    few = ", ".join(shown(layer.name) for layer in group[:SHOWN_AT_MOST])
    rows = ", ".join(names[:SHOWN_AT_MOST]) + (", ..." if len(names) > SHOWN_AT_MOST else "")
    needs = f"needs a {what}" if len(names) == 1 else f"need {len(names)} x {what}"
    problem = f"{rows} of {net.name} {needs}, and the file has {len(group) or 'none'}"
    if group:
        problem += f" ({few}{', ...' if len(group) > SHOWN_AT_MOST else ''})"
    else:
        near = _nearest(weights.layers, kind, shape)
        problem += f"; the closest is {shown(near[0])} of {by(near[1])}" if near else ""
    return Unpaired(f"the layers in {weights.path} are not those of {net.name}: {problem}")


def _nearest(
    layers: Sequence[Layer], kind: str, shape: tuple[int, ...]
) -> tuple[str, tuple[int, ...]] | None:
    """Return the layer of a kind whose shape has the most sizes in common, with its shape."""
    forms: Mapping[str, Form] = {layer.name: _form_of(layer) for layer in layers}
    of_kind = {name: own for name, (other, own) in forms.items() if other == kind}
    if not of_kind:
        return None
    return max(
        of_kind.items(),
        key=lambda one: sum(a == b for a, b in zip(one[1], shape, strict=False)),
    )
