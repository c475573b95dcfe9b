"""Bring the tensors of a layer into the shapes of the stage that takes them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from math import prod

import torch
from torch import Tensor

from netspec.files.members import shown
from netspec.ir.operator import Operator
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.ops.shuffle import Shuffle
from netspec.ir.symbols import by
from netspec.net import Net
from netspec.pretrained.layers import Layer

TAKEN = {
    "conv": ("conv", "fc"),
    "fc": ("fc", "conv"),
    "deconv": ("deconv", "conv"),  # a state dict does not tell it from a convolution
    "bn": ("norm",),
    "ln": ("norm",),
    "gn": ("norm",),
    "prelu": ("other", "norm"),  # a vector alone may be the scale of a normalisation
    "gain": ("other", "norm"),
}
"""The kinds of layers that an operator takes, its own first.  Every operator also takes ``other``,
and operators that are not listed take only that."""

NOT_FACTORS = ("bias", "running_mean", "running_var")
"""Roles of vectors that are not multiplied with the channels."""

Map = tuple[int, int, int]
"""Height, width and channels."""


class Misfit(ValueError):
    """A layer that a stage cannot take; the message has both shapes."""


def shapes_of(net: Net, stage: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a stage, by its role."""
    op, inputs = net.graph.stage(stage).op, net.graph.shapes_into(stage)
    expected = {**op.parameters(inputs), **op.buffers(inputs)}
    return {role: tuple(parameter.shape) for role, parameter in expected.items()}


def _kinds_taken(op: Operator) -> tuple[str, ...]:
    """Return the kinds of layers that an operator takes, its own first."""
    return (*TAKEN.get(op.name, ()), "other")


def kind_of_stage(net: Net, stage: str) -> str:
    """Return the kind of a layer that is like a stage."""
    return _kinds_taken(net.graph.stage(stage).op)[0]


def fitted(layer: Layer, net: Net, stage: str) -> dict[str, Tensor]:
    """Return the tensors of a stage, in the shapes of the spec, from those of a layer.

    - An fc and a convolution have the same weights if the kernel has the size of the map that the
      fc reads: [out, C H W] becomes [out, C, H, W] and back.
    - Weights for a map that was flattened as (height, width, channels) are reordered.
    - Vectors may have axes of size 1: [1, C, 1, 1] becomes [C].  The factors of a ``gain`` and the
      slopes of a ``prelu`` may have any name.
    - Without a scale or shift, a normalisation has 1 and 0.  Without a bias, a layer has 0.
    - A bias of zeros may be left out.
    - With a connection table, a convolution of all pairs keeps the kernels of the connected ones,
      if the others are 0.

    Raises:
        Misfit: a shape differs, or the layer does not have a tensor that the stage needs, or has
            one that the stage does not have.
    """
    op = net.graph.stage(stage).op
    if layer.kind not in _kinds_taken(op):
        raise Misfit(f"{_name(layer)} is of the kind {layer.kind}, and {stage} is a {op.name}")
    expected = shapes_of(net, stage)
    given = _with_roles(layer, expected)
    fitting: dict[str, Tensor] = {}
    for role, shape in expected.items():
        tensor = given.get(role)
        if tensor is None:
            fitting[role] = _neutral(layer, role, shape, net, stage)
        elif len(shape) == 1:
            fitting[role] = _vector(layer, role, tensor, net, stage)
        else:
            fitting[role] = _weight(layer, role, tensor, net, stage)
        if tuple(fitting[role].shape) != shape:
            raise Misfit(
                f"the {role} of {_name(layer)} is {_size(fitting[role].shape)}, and {stage} "
                f"expects {_size(shape)}"
            )
    for role, tensor in given.items():
        if role not in expected and (role != "bias" or bool(tensor.any())):
            raise Misfit(f"{_name(layer)} has a {shown(role)}, and {stage} does not")
    return fitting


def _with_roles(layer: Layer, expected: Mapping[str, tuple[int, ...]]) -> Mapping[str, Tensor]:
    """Return the tensors of a layer by role; a factor per channel may have another name."""
    if len(expected) == len(layer.tensors) == 1:
        ((role, shape),) = expected.items()
        ((name, tensor),) = layer.tensors.items()
        if len(shape) == 1 and name not in NOT_FACTORS:
            return {role: tensor}
    return layer.tensors


def _neutral(layer: Layer, role: str, shape: tuple[int, ...], net: Net, stage: str) -> Tensor:
    """Return the value of a tensor that a layer leaves out."""
    like = next(iter(layer.tensors.values()), torch.empty(0))
    if role == "bias":
        return like.new_zeros(shape)
    if role == "weight" and layer.kind == kind_of_stage(net, stage) == "norm":
        return like.new_ones(shape)
    raise Misfit(f"{_name(layer)} does not have a {role}, which {stage} needs")


def _vector(layer: Layer, role: str, tensor: Tensor, net: Net, stage: str) -> Tensor:
    """Return a vector of a stage from that of a layer."""
    if tensor.dim() != 1 and tensor.numel() == max(tensor.shape, default=0):
        tensor = tensor.flatten()
    if layer.flattened == "hwc" and _is_by_value(net, stage):
        read = _map_read(net, stage)  # a normalisation of flattened values
        return _reordered(tensor[None], read)[0] if len(tensor) == prod(read) else tensor
    return tensor


def _is_by_value(net: Net, stage: str) -> bool:
    """Return True if a stage has parameters for each value of the vector that it reads."""
    op, operand = net.graph.stage(stage).op, net.graph.shapes_into(stage)[0]
    return not (operand.is_map or isinstance(op, FullyConnected))


def _weight(layer: Layer, role: str, tensor: Tensor, net: Net, stage: str) -> Tensor:
    """Return the tensor of a stage with several axes from that of a layer, if it can be made."""
    op, shape = net.graph.stage(stage).op, shapes_of(net, stage)[role]
    axes, is_weight = tensor.dim(), role == "weight"
    if isinstance(op, FullyConnected) and is_weight:
        if axes == 2 and layer.flattened == "hwc" and tuple(tensor.shape) == shape:
            return _reordered(tensor, _map_read(net, stage))
        if axes == 4 and tuple(tensor.permute(0, 2, 3, 1).shape[1:]) == _map_read(net, stage):
            return tensor.flatten(1)
    if type(op) is Conv and is_weight and op.connect is not None and axes == 4:
        return _connected(layer, op, tensor, stage)
    if type(op) is Conv and is_weight and (op.groups, axes, len(shape)) == (1, 2, 4):
        count, channels, height, width = shape
        size = (height, width, channels) if layer.flattened == "hwc" else (1, 1, prod(shape[1:]))
        if tuple(tensor.shape) == (count, prod(size)):
            return _reordered(tensor, size).reshape(shape)
    return tensor


def _connected(layer: Layer, op: Conv, dense: Tensor, stage: str) -> Tensor:
    """Return the kernels of connected pairs from those of all; the others must be 0."""
    assert op.connect is not None
    size = (op.count, len(op.connect.rows), *op.kernel)
    if tuple(dense.shape) != size:
        raise Misfit(
            f"the weight of {_name(layer)} is {_size(dense.shape)}, and {stage} expects "
            f"{len(op.pairs)} of the {size[0]}x{size[1]} kernels in {_size(size)}"
        )
    kernels = op.sparse(dense)
    if not torch.equal(op.dense(kernels), dense):
        raise Misfit(
            f"{_name(layer)} has kernels other than 0 between maps that the table "
            f"{op.connect.name} of {stage} does not connect"
        )
    return kernels


def _reordered(tensor: Tensor, size: Map) -> Tensor:
    """Return a matrix [n, H W C] with its columns in the order [n, C H W]."""
    height, width, _ = size
    if height * width == 1:
        return tensor
    return tensor.reshape(len(tensor), *size).permute(0, 3, 1, 2).reshape(len(tensor), -1)


def _map_read(net: Net, stage: str) -> Map:
    """Return the map whose values a stage reads, also if it was flattened before.

    A vector that was not made by flattening counts as a map of 1 x 1.

    Raises:
        Misfit: the stage reads several flattened maps, or parts of one.
    """
    graph = net.graph

    @cache
    def map_of(name: str) -> Map:
        shape, op = graph.stage(name).known_shape, graph.stage(name).op
        if shape.is_map:
            return shape[0], shape[1], shape[2]
        is_new = isinstance(op, FullyConnected | RadialBasis)
        maps = {map_of(operand) for operand in ([] if is_new else graph.operands(name))}
        if all(size[:2] == (1, 1) for size in maps):
            return 1, 1, shape.channels
        (size, *others) = maps
        if others or prod(size) != shape.channels or isinstance(op, Shuffle):
            raise Misfit(
                f"{stage} reads flattened maps that {name} combines or rearranges, for which the "
                "weights of the file cannot be reordered"
            )
        return size

    return map_of(graph.operands(stage)[0])


def _name(layer: Layer) -> str:
    return shown(layer.name)


def _size(shape: Sequence[int]) -> str:
    return by(shape) or "a single number"


# ------------------------------------------------------------------------------------------- forms


def form_of_layer(layer: Layer) -> Hashable:
    """Return what decides which stages a layer fits: layers of equal form fit the same stages.

    An exception is a convolution of all pairs for a connection table, which also needs zeros.
    """
    bias = layer.tensors.get("bias")
    shapes = sorted((role, tuple(tensor.shape)) for role, tensor in layer.tensors.items())
    has_bias = bias is not None and bool(bias.any())
    return layer.kind, layer.flattened, tuple(shapes), has_bias


def form_of_stage(net: Net, stage: str) -> Hashable:
    """Return what decides which layers a stage takes: stages of equal form take the same layers."""
    op = net.graph.stage(stage).op
    read: Hashable = None
    if isinstance(op, FullyConnected) or _is_by_value(net, stage):
        try:
            read = _map_read(net, stage)
        except Misfit:
            read = stage  # like no other
    structure = (op.groups > 1, op.connect) if isinstance(op, Conv) else ()
    return op.name, tuple(shapes_of(net, stage).items()), structure, read


def counts_of_stage(net: Net, stage: str) -> set[int]:
    """Return the number of elements that the largest tensor of a layer for a stage may have."""
    op = net.graph.stage(stage).op
    counts = {max(map(prod, shapes_of(net, stage).values()))}
    if isinstance(op, Conv) and op.connect is not None:
        counts.add(op.count * len(op.connect.rows) * prod(op.kernel))
    return counts


# ------------------------------------------------------------------------------------------- folds


def unfolded(layer: Layer, eps: float) -> tuple[Layer, Layer]:
    """Return a layer with bias as one without, and the normalisation that adds the bias.

    Exports often fold a normalisation into the convolution before it.  The normalisation that is
    returned multiplies by exactly 1, for every eps < 1 and also if it is computed in float32: its
    scale is 1, its mean 0, and its variance 1 - eps, so that variance + eps rounds to 1.  For a
    larger eps, the variance is 0 and the scale sqrt(eps), which is 1 up to rounding.

    Args:
        layer: a convolution or an fc, with a bias.
        eps: of the normalisation.
    """
    weight, bias = layer.tensors["weight"], layer.tensors["bias"]
    # In double precision: 1 - eps must not be rounded to the type of the file, such as float16.
    ones = torch.ones(len(bias), dtype=torch.float64)
    variance = max(1.0 - eps, 0.0)
    norm = {
        "weight": ones * (variance + eps) ** 0.5,
        "bias": bias,
        "running_mean": 0 * ones,
        "running_var": variance * ones,
    }
    name = layer.names.get("bias", layer.name)
    names = {role: name for role, name in layer.names.items() if role != "bias"}
    plain = Layer(layer.name, layer.kind, {"weight": weight}, names, layer.flattened)
    return plain, Layer(f"{layer.name} (folded)", "norm", norm, dict.fromkeys(norm, name))
