"""Each operator in ONNX.  Maps are [N, C, H, W], vectors [N, C]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from math import prod

import numpy as np

from netspec.backends.onnx.graph import Place
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

Form = Callable[..., str]
"""From an operator's place, the operator and its operands' names to the name of its value.

The value is that of the last node, or an operand.
"""

FORMS: dict[type[Operator], Form] = {}
"""The ONNX form of each operator, of that very class: what derives from one may differ from it."""


def form(*operators: type[Operator]) -> Callable[[Form], Form]:
    """Register a function as the form of these operators."""

    def register(function: Form) -> Form:
        FORMS.update(dict.fromkeys(operators, function))
        return function

    return register


# --------------------------------------------------------------------------- element by element


@form(Identity)
def _identity(at: Place, op: Identity, x: str) -> str:
    return x


@form(Dropout)
def _dropout(at: Place, op: Dropout, x: str) -> str:
    return x if op.factor == 1 else at.node("Mul", x, at.reals("factor", op.factor))


@form(Abs)
def _abs(at: Place, op: Abs, x: str) -> str:
    return at.node("Abs", x)


@form(Relu)
def _relu(at: Place, op: Relu, x: str) -> str:
    return at.node("Relu", x)


@form(Sigmoid)
def _sigmoid(at: Place, op: Sigmoid, x: str) -> str:
    return at.node("Sigmoid", x)


@form(Tanh)
def _tanh(at: Place, op: Tanh, x: str) -> str:
    y = x if op.slope == 1 else at.node("Mul", x, at.reals("slope", op.slope))
    y = at.node("Tanh", y)
    return y if op.scale == 1 else at.node("Mul", y, at.reals("scale", op.scale))


@form(Softmax)
def _softmax(at: Place, op: Softmax, x: str) -> str:
    return at.node("Softmax", x, axis=1)


@form(Add)
def _add(at: Place, op: Add, *x: str) -> str:
    return reduce(partial(at.node, "Add"), x)


@form(Concat)
def _concat(at: Place, op: Concat, *x: str) -> str:
    return at.node("Concat", *x, axis=1)


@form(Flatten)
def _flatten(at: Place, op: Flatten, x: str) -> str:
    return at.node("Flatten", x, axis=1)


# ------------------------------------------------------------------------------------- products


@form(Conv)
def _conv(at: Place, op: Conv, x: str) -> str:
    _, weight = at.parameters["weight"]
    return at.node(
        "Conv",
        x,
        at.parameter("weight", op.dense(weight)),
        *at.bias(),
        kernel_shape=op.kernel,
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        pads=_sides(op.windows(at.inputs)),
    )


@form(Local)
def _local(at: Place, op: Local, x: str) -> str:
    """Build it from gathered pixels: those that each place sees, times that place's weights."""
    windows, (height, width, channels) = op.windows(at.inputs), at.inputs[0]
    top, left, bottom, right = sides = _sides(windows)
    size = top + height + bottom, left + width + right
    rows, columns = (  # of the padded map: [taps, places] along each axis
        np.add.outer(np.arange(w.kernel) * w.dilation, np.arange(w.size_out) * w.stride)
        for w in windows
    )
    pixels = rows[:, np.newaxis, :, np.newaxis] * size[1] + columns[:, np.newaxis]
    down, across = op.shape(at.inputs)[:2]
    taps, places = prod(op.kernel), down * across
    seen = op.channels_seen(at.inputs) * taps
    x = at.node("Reshape", _padded(at, x, sides), at.integers("flat", [0, channels, prod(size)]))
    x = at.node("Gather", x, at.integers("pixels", pixels.reshape(taps, places)), axis=2)
    x = at.node("Reshape", x, at.integers("patches", [0, op.groups, seen, places]))
    shape = at.integers("kernels", [op.groups, op.count // op.groups, seen, places])
    w = at.node("Reshape", at.parameter("weight"), shape)
    y = at.node("Einsum", x, w, equation="ngkp,gokp->ngop")  # the letters are the reference's
    y = at.node("Reshape", y, at.integers("maps", [0, op.count, down, across]))
    return at.node("Add", y, *at.bias()) if op.bias else y


@form(FullyConnected)
def _fully_connected(at: Place, op: FullyConnected, x: str) -> str:
    if at.inputs[0].is_map:
        x = at.node("Flatten", x, axis=1)
    return at.node("Gemm", x, at.parameter("weight"), *at.bias(), transB=1)


@form(RadialBasis)
def _radial_basis(at: Place, op: RadialBasis, x: str) -> str:
    x = at.node("Reshape", x, at.integers("row", [0, 1, at.inputs[0].elements]))
    distance = at.node("Sub", x, at.reals("codes", op.codes.pictures))
    squares = at.node("Mul", distance, distance)
    return at.node("ReduceSum", squares, at.integers("axes", [2]), keepdims=0)


# ---------------------------------------------------------------------------------------- pools


@form(MaxPool)
def _maxpool(at: Place, op: MaxPool, x: str) -> str:
    pads = _sides(op.windows(at.inputs))
    return at.node("MaxPool", x, kernel_shape=op.kernel, strides=op.stride, pads=pads)


@form(AvgPool)
def _avgpool(at: Place, op: AvgPool, x: str) -> str:
    windows = op.windows(at.inputs)
    top, left, bottom, right = sides = _sides(windows)
    below, beside = (w.overhang for w in windows)
    if op.count_pad and (below or beside):  # padding counts, what hangs over it does not
        x = _padded(at, x, (top, left, bottom - below, right - beside))
        return _means(at, op, x, (0, 0, below, beside), counts=False)
    return _means(at, op, x, sides, counts=bool(op.count_pad))


@form(Subsample)
def _subsample(at: Place, op: Subsample, x: str) -> str:
    y = _means(at, op, x, _sides(op.windows(at.inputs)), counts=True)
    if op.by == "sum":
        y = at.node("Mul", y, at.reals("taps", prod(op.kernel)))
    axes = at.integers("axes", [1, 2])
    y = at.node("Mul", y, at.node("Unsqueeze", at.parameter("coefficient"), axes))
    return at.node("Add", y, at.node("Unsqueeze", at.parameter("bias"), axes))


@form(GlobalAveragePool)
def _gap(at: Place, op: GlobalAveragePool, x: str) -> str:
    return at.node("GlobalAveragePool", x)


# ------------------------------------------------------------------------------- normalisations


@form(BatchNorm)
def _batch_norm(at: Place, op: BatchNorm, x: str) -> str:
    names = "weight", "bias", "running_mean", "running_var"
    return at.node("BatchNormalization", x, *map(at.parameter, names), epsilon=op.eps)


@form(LocalResponseNorm)
def _lrn(at: Place, op: LocalResponseNorm, x: str) -> str:
    """ONNX divides alpha by the window's size."""
    parts = at.nodes("Split", [x], op.groups, axis=1) if op.groups > 1 else [x]
    normalised = [
        at.node("LRN", part, size=op.n, alpha=op.alpha * op.n, beta=op.beta, bias=op.k)
        for part in parts
    ]
    return at.node("Concat", *normalised, axis=1) if op.groups > 1 else normalised[0]


@form(LocalContrastNorm)
def _lcn(at: Place, op: LocalContrastNorm, x: str) -> str:
    """Compute weighted means: a convolution of the mean map, over the part of the window inside."""
    size = at.inputs[0][:2]
    reach = [min(taps // 2, n - 1) for taps, n in zip(op.kernel, size, strict=True)]
    gauss = [np.exp(-((np.arange(-r, r + 1) / op.sigma) ** 2) / 2) for r in reach]
    inside = [
        np.convolve(np.ones(n), g)[r : r + n] for n, g, r in zip(size, gauss, reach, strict=True)
    ]
    window = at.reals("window", np.outer(*gauss)[np.newaxis, np.newaxis])
    scaled = at.reals("inside", np.outer(*inside))

    def means(x: str) -> str:
        x = at.node("Conv", at.node("ReduceMean", x, axes=[1]), window, pads=[*reach, *reach])
        return at.node("Div", x, scaled)

    corner = at.integers("from", [0, 0, 0]), at.integers("to", [1, 1, 1])
    first = at.node("Slice", x, *corner, at.integers("axes", [1, 2, 3]))
    a = at.node("Sub", x, first)  # a constant image is 0 exactly, as in the reference
    v = at.node("Sub", a, means(a))
    s = at.node("Sqrt", means(at.node("Mul", v, v)))
    scale = at.node("Max", s, at.node("ReduceMean", s, axes=[2, 3]))
    is_flat = at.node("Equal", scale, at.reals("zero", 0.0))
    return at.node("Div", v, at.node("Where", is_flat, at.reals("one", 1.0), scale))


# --------------------------------------------------------------------------------------- shared

Sides = tuple[int, int, int, int]
"""(top, left, bottom, right), the order of ONNX's ``pads``."""


def _sides(windows: tuple[Window, Window]) -> Sides:
    """Return the padding that the windows reach, overhang included."""
    vertical, horizontal = windows
    return vertical.before, horizontal.before, vertical.tail, horizontal.tail


def _padded(at: Place, x: str, sides: Sides) -> str:
    """Return the name of a map with zeros at its sides."""
    top, left, bottom, right = sides
    pads = [0, 0, top, left, 0, 0, bottom, right]
    return at.node("Pad", x, at.integers("pads", pads)) if any(sides) else x


def _means(at: Place, op: WindowOperator, x: str, sides: Sides, *, counts: bool) -> str:
    """Return the name of the mean of each window; ``counts`` says whether padding counts."""
    return at.node(
        "AveragePool",
        x,
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=sides,
        count_include_pad=int(counts),
    )
