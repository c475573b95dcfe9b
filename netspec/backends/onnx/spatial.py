"""The ONNX nodes of operators that change the size of a map or move its channels."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from netspec.backends.onnx.graph import NodeBuilder
from netspec.ir.operator import Operator
from netspec.ir.ops.adaptive_avgpool import AdaptiveAveragePool
from netspec.ir.ops.deconv import Deconv
from netspec.ir.ops.gmp import GlobalMaxPool
from netspec.ir.ops.lrn_within import LocalResponseNormWithin
from netspec.ir.ops.part import Part
from netspec.ir.ops.shuffle import Shuffle
from netspec.ir.ops.upsample import Upsample


def _deconv(builder: NodeBuilder, op: Deconv, x: str) -> str:
    top, bottom, left, right = op.pad
    return builder.node(
        "ConvTranspose",
        x,
        builder.parameter("weight"),
        *builder.bias(),
        kernel_shape=op.kernel,
        strides=op.stride,
        dilations=op.dilation,
        output_padding=op.output_pad,
        group=op.groups,
        pads=(top, left, bottom, right),
    )


def _upsample(builder: NodeBuilder, op: Upsample, x: str) -> str:
    way = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if op.by == "nearest":
        way = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
        way["nearest_mode"] = "floor"
    elif op.align_corners:
        way["coordinate_transformation_mode"] = "align_corners"
    scales = builder.floats("scales", [1, 1, *op.factor])
    return builder.node("Resize", x, "", scales, **way)


def _adaptive_avgpool(builder: NodeBuilder, op: AdaptiveAveragePool, x: str) -> str:
    """Build an average pool; if windows differ in size, gather and add the values of each window.

    A product with a matrix of the windows' weights is not the same: its zeros times NaN or infinity
    would be NaN in windows that do not have this value.
    """
    size = builder.inputs[0][:2]
    if all(n % count == 0 for n, count in zip(size, op.size, strict=True)):
        kernel = [n // count for n, count in zip(size, op.size, strict=True)]
        return builder.node("AveragePool", x, kernel_shape=kernel, strides=kernel)
    for axis, name in enumerate(("rows", "columns")):
        first, end = np.array(op.bounds(axis, builder.inputs)).T[..., np.newaxis]
        taps = np.arange(np.max(end - first))
        # A window with fewer values has its last one several times, as equal parts of its share.
        copies = np.where(first + taps < end - 1, 1, len(taps) - (end - first) + 1)
        shares = 1 / (end - first) / copies
        values = builder.node(
            "Gather", x, builder.integers(name, np.minimum(first + taps, end - 1)), axis=2 + axis
        )
        parts = shares[..., np.newaxis] if axis == 0 else shares
        values = builder.node("Mul", values, builder.reals(f"share_of_{name}", parts))
        axes = builder.integers(f"taps_of_{name}", [3 + axis])
        x = builder.node("ReduceSum", values, axes, keepdims=0)
    return x


def _gmp(builder: NodeBuilder, op: GlobalMaxPool, x: str) -> str:
    return builder.node("GlobalMaxPool", x)


def _part(builder: NodeBuilder, op: Part, x: str) -> str:
    count = builder.inputs[0].channels // op.of
    ends = [(op.number - 1) * count], [op.number * count]
    start, end = (
        builder.integers(n, values) for n, values in zip(("from", "to"), ends, strict=True)
    )
    return builder.node("Slice", x, start, end, builder.integers("axes", [1]))


def _shuffle(builder: NodeBuilder, op: Shuffle, x: str) -> str:
    height, width, channels = builder.inputs[0]
    by_group = [0, op.groups, channels // op.groups, height * width]
    y = builder.node("Reshape", x, builder.integers("groups", by_group))
    y = builder.node("Transpose", y, perm=[0, 2, 1, 3])
    return builder.node("Reshape", y, builder.integers("map", [0, channels, height, width]))


def _lrn_within(builder: NodeBuilder, op: LocalResponseNormWithin, x: str) -> str:
    """Build x (k + alpha sum of squares)^-beta; the sum is an average over positions times n^2."""
    reach = op.reach(builder.inputs)
    kernel = [2 * side + 1 for side in reach]
    squares = builder.node("Mul", x, x)
    mean = builder.node(
        "AveragePool", squares, kernel_shape=kernel, pads=[*reach, *reach], count_include_pad=1
    )
    # Not one product with alpha n^2: alpha may be zero in float32 while that is not.
    total = builder.node("Mul", mean, builder.reals("positions", prod(kernel)))
    scaled = builder.node("Mul", total, builder.reals("alpha", op.alpha))
    base = builder.node("Add", scaled, builder.reals("k", op.k))
    return builder.node("Mul", x, builder.node("Pow", base, builder.reals("beta", -op.beta)))


SPATIAL: dict[type[Operator], Callable[..., str]] = {
    Deconv: _deconv,
    Upsample: _upsample,
    AdaptiveAveragePool: _adaptive_avgpool,
    GlobalMaxPool: _gmp,
    Part: _part,
    Shuffle: _shuffle,
    LocalResponseNormWithin: _lrn_within,
}
"""The forms of these operators, which ``FORMS`` of ``operators.py`` includes."""
