"""Bring the tensors of a layer into the shapes of the stage that takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from netspec.ir.shapes import Shape
from netspec.ir.symbols import by
from netspec.net import Net
from netspec.pretrained.layers import Layer


class Misfit(ValueError):
    """A layer that a stage cannot take; the message has both shapes."""


def shapes_of(net: Net, stage: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a stage, by its role."""
    op, inputs = net.graph.stage(stage).op, net.graph.shapes_into(stage)
    expected = {**op.parameters(inputs), **op.buffers(inputs)}
    return {role: tuple(parameter.shape) for role, parameter in expected.items()}


def fitted(layer: Layer, net: Net, stage: str) -> dict[str, Tensor]:
    """Return the tensors of a stage, in the shapes of the spec, from those of a layer.

    An fc and a convolution over the whole map have the same weights: [out, C * H * W] becomes [out,
    C, H, W] and back.  An fc that reads a map flattened as height, width, channels is reordered.
    Where a normalisation of the layer has no scale or no shift, they are 1 and 0; so is the bias of
    another layer.

    Raises:
        Misfit: a shape differs, or the layer has a bias, scale or other tensor that the stage does
            not have.
    """
    expected = shapes_of(net, stage)
    given = dict(layer.tensors)
    if (
        len(expected) == 1 and len(given) == 1
    ):  # a PReLU's slope, a gain: named and shaped in many ways
        (role, shape), (tensor,) = next(iter(expected.items())), given.values()
        if len(shape) == 1 and prod(tensor.shape) == shape[0]:
            return {role: tensor.reshape(shape)}
    fitting: dict[str, Tensor] = {}
    for role, shape in expected.items():
        own = given.get(role)
        if own is None:
            fitting[role] = _default(layer, stage, role, shape)
        elif role == "weight":
            fitting[role] = _weight(layer, own, net, stage, shape)
        elif tuple(own.shape) == shape:
            fitting[role] = own
        else:
            raise _differs(layer, role, own, stage, shape)
    for role, tensor in given.items():
        if role not in expected and (role != "bias" or bool(tensor.any())):
            raise Misfit(f"{layer.name} has a {role}, and {stage} does not")
    return fitting


def _default(layer: Layer, stage: str, role: str, shape: tuple[int, ...]) -> Tensor:
    """Return the value of a tensor that a layer leaves out."""
    if role == "bias":
        return torch.zeros(shape)
    if role == "weight" and layer.kind == "norm":
        return torch.ones(shape)
    raise Misfit(f"{layer.name} does not have a {role}, which {stage} needs")


def _weight(layer: Layer, tensor: Tensor, net: Net, stage: str, shape: tuple[int, ...]) -> Tensor:
    """Return the weight of a stage from that of a layer."""
    op, (operand, *_) = net.graph.stage(stage).op.name, net.graph.shapes_into(stage)
    is_fc = tensor.dim() == 2
    if prod(tensor.shape) != prod(shape) or tensor.shape[0] != shape[0]:
        raise _differs(layer, "weight", tensor, stage, shape)
    if op == "fc" and is_fc:
        return _in_order(tensor, layer.flattened, _map_of(operand))
    if op == "conv" and is_fc and len(shape) == 4:
        _, channels, height, width = shape
        return _in_order(tensor, layer.flattened, (height, width, channels)).reshape(shape)
    if op == "fc" and tensor.dim() == 4:
        _, channels, height, width = tensor.shape
        if _map_of(operand) in ((height, width, channels), (1, 1, channels * height * width)):
            return tensor.reshape(shape)
    if tuple(tensor.shape) != shape:
        raise _differs(layer, "weight", tensor, stage, shape)
    return tensor


def _map_of(operand: Shape) -> tuple[int, int, int]:
    """Return the height, width and channels of what an fc reads; a vector is a map of 1x1."""
    if operand.is_map:
        height, width, channels = operand
        return height, width, channels
    return 1, 1, operand.elements


def _in_order(tensor: Tensor, flattened: str, size: tuple[int, int, int]) -> Tensor:
    """Return the weight of an fc [out, n] for values in the order channels, height, width."""
    height, width, channels = size
    if flattened == "chw" or height * width == 1:
        return tensor
    split = tensor.reshape(len(tensor), height, width, channels)
    return split.permute(0, 3, 1, 2).reshape(len(tensor), -1)


def _differs(layer: Layer, role: str, tensor: Tensor, stage: str, shape: Sequence[int]) -> Misfit:
    return Misfit(
        f"the {role} of {layer.name} is {by(tuple(tensor.shape))}, and {stage} expects {by(shape)}"
    )


def unfolded(layer: Layer, eps: float) -> tuple[Layer, Layer]:
    """Return a convolution with bias as one without, and the normalisation that adds the bias.

    Exports often fold a normalisation into the convolution before it.  With mean 0, variance 1 and
    scale sqrt(1 + eps), the normalisation multiplies by 1 up to rounding.
    """
    weight, bias = layer.tensors["weight"], layer.tensors["bias"]
    ones = torch.ones_like(bias)
    norm: Mapping[str, Tensor] = {
        "weight": ones * (1 + eps) ** 0.5, "bias": bias,
        "running_mean": torch.zeros_like(bias), "running_var": ones,
    }  # fmt: skip
    name = layer.names.get("bias", layer.name)
    return (
        Layer(layer.name, layer.kind, {"weight": weight}, {"weight": layer.names["weight"]}),
        Layer(f"{layer.name} (folded)", "norm", norm, dict.fromkeys(norm, name)),
    )
