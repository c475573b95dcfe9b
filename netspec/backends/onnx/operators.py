"""The ONNX nodes of each operator.  Maps are [N, C, H, W], vectors [N, C]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from math import prod

import numpy as np
import torch

from netspec.backends.onnx.activations import ACTIVATIONS
from netspec.backends.onnx.graph import Form, NodeBuilder
from netspec.backends.onnx.spatial import SPATIAL
from netspec.ir.operator import Operator, WindowOperator
from netspec.ir.ops.abs import Abs
from netspec.ir.ops.add import Add
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.identity import Identity
from netspec.ir.ops.lcn import LocalContrastNorm
from netspec.ir.ops.local import Local
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.ops.softmax import Softmax
from netspec.ir.ops.subsample import Subsample
from netspec.ir.ops.tanh import Tanh
from netspec.ir.shapes import Window

FORMS: dict[type[Operator], Form] = {**ACTIVATIONS, **SPATIAL}
"""The form of each operator, by its exact class, because a subclass may compute something else."""


def form(*operators: type[Operator]) -> Callable[[Form], Form]:
    """Register a function as the form of these operators."""

    def register(function: Form) -> Form:
        FORMS.update(dict.fromkeys(operators, function))
        return function

    return register


# --------------------------------------------------------------------------- element by element


@form(Identity)
def _identity(builder: NodeBuilder, op: Identity, x: str) -> str:
    return x


@form(Dropout)
def _dropout(builder: NodeBuilder, op: Dropout, x: str) -> str:
    return x if op.factor == 1 else builder.node("Mul", x, builder.reals("factor", op.factor))


@form(Abs)
def _abs(builder: NodeBuilder, op: Abs, x: str) -> str:
    return builder.node("Abs", x)


@form(Relu)
def _relu(builder: NodeBuilder, op: Relu, x: str) -> str:
    return builder.node("Relu", x)


@form(Sigmoid)
def _sigmoid(builder: NodeBuilder, op: Sigmoid, x: str) -> str:
    return builder.node("Sigmoid", x)


@form(Tanh)
def _tanh(builder: NodeBuilder, op: Tanh, x: str) -> str:
    y = x if op.slope == 1 else builder.node("Mul", x, builder.reals("slope", op.slope))
    y = builder.node("Tanh", y)
    return y if op.scale == 1 else builder.node("Mul", y, builder.reals("scale", op.scale))


@form(Softmax)
def _softmax(builder: NodeBuilder, op: Softmax, x: str) -> str:
    return builder.node("Softmax", x, axis=1)


@form(Add)
def _add(builder: NodeBuilder, op: Add, *x: str) -> str:
    return reduce(partial(builder.node, "Add"), x)


@form(Concat)
def _concat(builder: NodeBuilder, op: Concat, *x: str) -> str:
    return builder.node("Concat", *x, axis=1)


@form(Flatten)
def _flatten(builder: NodeBuilder, op: Flatten, x: str) -> str:
    return builder.node("Flatten", x, axis=1)


# ------------------------------------------------------------------------------------- products


@form(Conv)
def _conv(builder: NodeBuilder, op: Conv, x: str) -> str:
    _, weight = builder.parameters["weight"]
    return builder.node(
        "Conv",
        x,
        builder.parameter("weight", op.dense(weight)),
        *builder.bias(),
        kernel_shape=op.kernel,
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        pads=_sides(op.windows(builder.inputs)),
    )


@form(Local)
def _local(builder: NodeBuilder, op: Local, x: str) -> str:
    """Gather the pixels that each output pixel sees, and multiply them by its own weights."""
    windows, (height, width, channels) = op.windows(builder.inputs), builder.inputs[0]
    top, left, bottom, right = sides = _sides(windows)
    size = top + height + bottom, left + width + right
    rows, columns = (  # of the padded map: [taps, places] along each axis
        np.add.outer(np.arange(w.kernel) * w.dilation, np.arange(w.size_out) * w.stride)
        for w in windows
    )
    pixels = rows[:, np.newaxis, :, np.newaxis] * size[1] + columns[:, np.newaxis]
    down, across = op.shape(builder.inputs)[:2]
    taps, places = prod(op.kernel), down * across
    seen = op.channels_seen(builder.inputs) * taps
    x = builder.node(
        "Reshape", _padded(builder, x, sides), builder.integers("flat", [0, channels, prod(size)])
    )
    x = builder.node("Gather", x, builder.integers("pixels", pixels.reshape(taps, places)), axis=2)
    x = builder.node("Reshape", x, builder.integers("patches", [0, op.groups, seen, places]))
    shape = builder.integers("kernels", [op.groups, op.count // op.groups, seen, places])
    w = builder.node("Reshape", builder.parameter("weight"), shape)
    y = builder.node("Einsum", x, w, equation="ngkp,gokp->ngop")  # letters as in the reference
    y = builder.node("Reshape", y, builder.integers("maps", [0, op.count, down, across]))
    return builder.node("Add", y, *builder.bias()) if op.bias else y


@form(FullyConnected)
def _fully_connected(builder: NodeBuilder, op: FullyConnected, x: str) -> str:
    if builder.inputs[0].is_map:
        x = builder.node("Flatten", x, axis=1)
    return builder.node("Gemm", x, builder.parameter("weight"), *builder.bias(), transB=1)


@form(RadialBasis)
def _radial_basis(builder: NodeBuilder, op: RadialBasis, x: str) -> str:
    x = builder.node("Reshape", x, builder.integers("row", [0, 1, builder.inputs[0].elements]))
    distance = builder.node("Sub", x, builder.reals("codes", op.codes.pictures))
    squares = builder.node("Mul", distance, distance)
    return builder.node("ReduceSum", squares, builder.integers("axes", [2]), keepdims=0)


# ---------------------------------------------------------------------------------------- pools


@form(MaxPool)
def _maxpool(builder: NodeBuilder, op: MaxPool, x: str) -> str:
    pads = _sides(op.windows(builder.inputs))
    if any(side >= taps for side, taps in zip(pads, 2 * op.kernel, strict=True)):
        # ONNX Runtime requires less padding than taps; windows with a dilation can have more.
        x, pads = _padded(builder, x, pads, -np.inf), (0, 0, 0, 0)
    return builder.node(
        "MaxPool",
        x,
        kernel_shape=op.kernel,
        strides=op.stride,
        dilations=op.dilation,
        pads=pads,
    )


@form(AvgPool)
def _avgpool(builder: NodeBuilder, op: AvgPool, x: str) -> str:
    windows = op.windows(builder.inputs)
    top, left, bottom, right = sides = _sides(windows)
    if op.dilation != (1, 1):
        return _dilated_means(builder, op, x)
    below, beside = (w.overhang for w in windows)
    if op.count_pad and (below or beside):  # padding counts, overhang does not
        x = _padded(builder, x, (top, left, bottom - below, right - beside))
        return _means(builder, op, x, (0, 0, below, beside), counts=False)
    return _means(builder, op, x, sides, counts=bool(op.count_pad))


def _dilated_means(builder: NodeBuilder, op: AvgPool, x: str) -> str:
    """Build a convolution of each channel: ``AveragePool`` has a dilation only since opset 19."""
    windows, channels = op.windows(builder.inputs), builder.inputs[0].channels
    y = builder.node(
        "Conv",
        x,
        builder.reals("means", np.full((channels, 1, *op.kernel), 1 / prod(op.kernel))),
        strides=op.stride,
        dilations=op.dilation,
        pads=_sides(windows),
        group=channels,
    )
    counts = torch.ones(1, 1, *(w.size_in for w in windows), dtype=torch.float64)
    share = op.share(windows, counts)
    return y if bool(share.eq(1).all()) else builder.node("Div", y, builder.reals("share", share))


@form(Subsample)
def _subsample(builder: NodeBuilder, op: Subsample, x: str) -> str:
    y = _means(builder, op, x, _sides(op.windows(builder.inputs)), counts=True)
    if op.by == "sum":
        y = builder.node("Mul", y, builder.reals("taps", prod(op.kernel)))
    axes = builder.integers("axes", [1, 2])
    y = builder.node("Mul", y, builder.node("Unsqueeze", builder.parameter("coefficient"), axes))
    return builder.node("Add", y, builder.node("Unsqueeze", builder.parameter("bias"), axes))


@form(GlobalAveragePool)
def _gap(builder: NodeBuilder, op: GlobalAveragePool, x: str) -> str:
    return builder.node("GlobalAveragePool", x)


# ------------------------------------------------------------------------------- normalisations


@form(BatchNorm)
def _batch_norm(builder: NodeBuilder, op: BatchNorm, x: str) -> str:
    names = "weight", "bias", "running_mean", "running_var"
    return builder.node("BatchNormalization", x, *map(builder.parameter, names), epsilon=op.eps)


@form(LocalResponseNorm)
def _lrn(builder: NodeBuilder, op: LocalResponseNorm, x: str) -> str:
    """Build an ``LRN`` node where every runtime computes it right; ONNX divides alpha by its size.

    ONNX Runtime does not accept alpha, beta or k that are 0 as float32.  It also keeps a running
    sum: when a square leaves the window, its rounding error stays in the sum.  Times alpha, this
    error must be small compared with k.  In other cases the formula is built from pools and powers.
    """
    size = min(op.n, 2 * (builder.inputs[0].channels // op.groups) - 1)  # a wider one is equal
    alpha = op.alpha * size
    if min(alpha, op.beta, op.k) < np.finfo(np.float32).tiny or alpha > op.k:
        return _lrn_of_parts(builder, op, x, size)
    parts = builder.nodes("Split", [x], op.groups, axis=1) if op.groups > 1 else [x]
    normalised = [
        builder.node("LRN", part, size=size, alpha=alpha, beta=op.beta, bias=op.k) for part in parts
    ]
    return builder.node("Concat", *normalised, axis=1) if op.groups > 1 else normalised[0]


def _lrn_of_parts(builder: NodeBuilder, op: LocalResponseNorm, x: str, size: int) -> str:
    """Build x (k + alpha sum of squares)^-beta; the sum is an average over channels times n."""
    height, width, channels = builder.inputs[0]
    by_group = builder.integers("groups", [0, op.groups, channels // op.groups, height * width])
    mean = builder.node(
        "AveragePool",
        builder.node("Reshape", builder.node("Mul", x, x), by_group),
        kernel_shape=[size, 1],
        pads=[size // 2, 0, size // 2, 0],
        count_include_pad=1,
    )
    total = builder.node("Mul", mean, builder.reals("alpha", op.alpha * size))
    base = builder.node("Add", total, builder.reals("k", op.k))
    map_of_x = builder.integers("map", [0, channels, height, width])
    power = builder.node(
        "Pow", builder.node("Reshape", base, map_of_x), builder.reals("beta", -op.beta)
    )
    return builder.node("Mul", x, power)


@form(LocalContrastNorm)
def _lcn(builder: NodeBuilder, op: LocalContrastNorm, x: str) -> str:
    """Build weighted means: a convolution of the mean map, divided by the sum of the weights that
    are inside the map."""
    size = builder.inputs[0][:2]
    reach = [min(taps // 2, n - 1) for taps, n in zip(op.kernel, size, strict=True)]
    gauss = [np.exp(-((np.arange(-r, r + 1) / op.sigma) ** 2) / 2) for r in reach]
    inside = [
        np.convolve(np.ones(n), g)[r : r + n] for n, g, r in zip(size, gauss, reach, strict=True)
    ]
    window = builder.reals("window", np.outer(*gauss)[np.newaxis, np.newaxis])
    scaled = builder.reals("inside", np.outer(*inside))

    def means(x: str) -> str:
        x = builder.node(
            "Conv", builder.node("ReduceMean", x, axes=[1]), window, pads=[*reach, *reach]
        )
        return builder.node("Div", x, scaled)

    corner = builder.integers("from", [0, 0, 0]), builder.integers("to", [1, 1, 1])
    first = builder.node("Slice", x, *corner, builder.integers("axes", [1, 2, 3]))
    a = builder.node("Sub", x, first)  # makes a constant image exactly 0, as in the reference
    v = builder.node("Sub", a, means(a))
    s = builder.node("Sqrt", means(builder.node("Mul", v, v)))
    scale = builder.node("Max", s, builder.node("ReduceMean", s, axes=[2, 3]))
    is_flat = builder.node("Equal", scale, builder.reals("zero", 0.0))
    return builder.node("Div", v, builder.node("Where", is_flat, builder.reals("one", 1.0), scale))


# --------------------------------------------------------------------------------------- shared

Sides = tuple[int, int, int, int]
"""(top, left, bottom, right), the order of ONNX's ``pads``."""


def _sides(windows: tuple[Window, Window]) -> Sides:
    """Return the padding that the windows cover, including overhang."""
    vertical, horizontal = windows
    return vertical.before, horizontal.before, vertical.tail, horizontal.tail


def _padded(builder: NodeBuilder, x: str, sides: Sides, value: float = 0.0) -> str:
    """Return the name of a map with zeros, or another value, at its sides."""
    top, left, bottom, right = sides
    if not any(sides):
        return x
    pads = builder.integers("pads", [0, 0, top, left, 0, 0, bottom, right])
    return builder.node("Pad", x, pads, *([builder.reals("padding", value)] if value else []))


def _means(builder: NodeBuilder, op: WindowOperator, x: str, sides: Sides, *, counts: bool) -> str:
    """Return the name of the means of windows; ``counts``: padding is part of the divisor."""
    return builder.node(
        "AveragePool",
        x,
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=sides,
        count_include_pad=int(counts),
    )
