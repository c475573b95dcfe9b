"""The operators for 1x1 convolutions that read the same map: up to four in one launch.

netspec::conv1x1_siblings, netspec::conv1x1_siblings_relu            return new maps
netspec::conv1x1_siblings_out, netspec::conv1x1_siblings_relu_out    write to given maps
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from netspec.kernels.arithmetic import check_precision
from netspec.kernels.conv.geometry import Geometry, checked
from netspec.kernels.conv.operators.gradients import conv2d_input_gradient, conv2d_weight_gradient
from netspec.kernels.conv.pointwise import SIBLINGS, choose, sibling_launches
from netspec.kernels.launch import run
from netspec.kernels.layout import check, check_apart, check_kind, laid_out, pitch
from netspec.kernels.windows import check_pixels


def _checked(
    x: Tensor, w: Tensor, b: Tensor | None, counts: Sequence[int], precision: str
) -> Geometry:
    """Return the geometry, after checks; raise errors as :func:`conv1x1_siblings`."""
    check_precision(precision)
    geometry = checked(x, w, [1, 1], [0, 0, 0, 0], [1, 1], 1)
    if geometry.kernel != (1, 1):
        raise ValueError(f"w must be [O, 1, 1, C], and is {list(w.shape)}")
    if b is not None:
        check("b", b, (geometry.count,), like=x)
    if not 1 <= len(counts) <= SIBLINGS or min(counts) < 1 or sum(counts) != geometry.count:
        raise ValueError(
            f"counts must be 1 to {SIBLINGS} numbers of filters that sum to the "
            f"{geometry.count} of w, and are {list(counts)}"
        )
    return geometry


def _write(
    x: Tensor, w: Tensor, b: Tensor | None, ys: Sequence[Tensor], precision: str, *, relu: bool
) -> None:
    counts = [y.shape[3] if y.dim() == 4 else 0 for y in ys]
    for i, y in enumerate(ys):
        pitch(f"ys[{i}]", y)
        check_kind(f"ys[{i}]", y, x)
    geometry = _checked(x, w, b, counts, precision)
    for i, y in enumerate(ys):
        if y.shape[:3] != x.shape[:3]:
            raise ValueError(
                f"ys[{i}] must have the pixels of x {list(x.shape)}, and is {list(y.shape)}"
            )
        check_apart(y, x=x, w=w, b=b, **{f"ys[{j}]": other for j, other in enumerate(ys) if j < i})
    check_pixels(geometry)
    tile = choose(geometry.pixels_out, counts, geometry.channels, x.dtype, precision)
    run(sibling_launches(x, w, b, ys, relu=relu, precision=precision, tile=tile))


def _forward(
    x: Tensor, w: Tensor, b: Tensor | None, counts: Sequence[int], precision: str, *, relu: bool
) -> list[Tensor]:
    _checked(x, w, b, counts, precision)
    ys = _empty(x, w, b, counts, precision)
    _write(x, w, b, ys, precision, relu=relu)
    return ys


def _empty(
    x: Tensor, w: Tensor, b: Tensor | None, counts: Sequence[int], precision: str
) -> list[Tensor]:
    return [x.new_empty(x.shape[0], x.shape[1], x.shape[2], count) for count in counts]


@torch.library.custom_op("netspec::conv1x1_siblings", mutates_args=())
def conv1x1_siblings(
    x: Tensor, w: Tensor, b: Tensor | None, counts: list[int], precision: str
) -> list[Tensor]:
    """Return y_i[m, o] = b_i[o] + sum over c of x[m, c] w_i[o, c], for up to four siblings i.

    Args:
        x: [N, H, W, C], contiguous or a slice of channels.
        w: [O, 1, 1, C], contiguous: the filters of the first sibling, then of the second, etc.
        b: [O], or None.
        counts: number of filters of each sibling; their sum is O.
        precision: "ieee", or "tf32" for float32 products on tensor cores.

    Returns:
        One map [N, H, W, count] per sibling.

    Raises:
        ValueError: if sizes do not match, or a tensor is not channels-last.
        TypeError: if types or devices differ, or the kernels do not support them.
    """
    return _forward(x, w, b, counts, precision, relu=False)


@torch.library.custom_op("netspec::conv1x1_siblings_relu", mutates_args=())
def conv1x1_siblings_relu(
    x: Tensor, w: Tensor, b: Tensor | None, counts: list[int], precision: str
) -> list[Tensor]:
    """Return max(y_i, 0) for the y_i of :func:`conv1x1_siblings`; NaN stays NaN."""
    return _forward(x, w, b, counts, precision, relu=True)


@torch.library.custom_op("netspec::conv1x1_siblings_out", mutates_args={"ys"})
def conv1x1_siblings_out(
    x: Tensor, w: Tensor, b: Tensor | None, ys: list[Tensor], precision: str
) -> None:
    """Write the result of :func:`conv1x1_siblings` to ``ys``, whose channels are the counts.

    Each output is [N, H, W, count], contiguous or a slice of the channels of a larger map, so that
    a concatenation needs no copy.  Outputs must not share elements with each other or with
    operands.  For inference: it is not differentiable.
    """
    _write(x, w, b, ys, precision, relu=False)


@torch.library.custom_op("netspec::conv1x1_siblings_relu_out", mutates_args={"ys"})
def conv1x1_siblings_relu_out(
    x: Tensor, w: Tensor, b: Tensor | None, ys: list[Tensor], precision: str
) -> None:
    """Write the result of :func:`conv1x1_siblings_relu`; see :func:`conv1x1_siblings_out`."""
    _write(x, w, b, ys, precision, relu=True)


def _nothing(x: Tensor, w: Tensor, b: Tensor | None, ys: list[Tensor], precision: str) -> None:
    return None


conv1x1_siblings.register_fake(_empty)
conv1x1_siblings_relu.register_fake(_empty)
conv1x1_siblings_out.register_fake(_nothing)
conv1x1_siblings_relu_out.register_fake(_nothing)


def _save(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor], *, relu: bool) -> None:
    x, w, b, ctx.counts, ctx.precision = inputs
    ctx.has_bias = b is not None
    ctx.save_for_backward(x, w, *(output if relu else ()))


def _save_relu(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _save(ctx, inputs, output, relu=True)


def _save_plain(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _save(ctx, inputs, output, relu=False)


def _backward(ctx: Any, dys: list[Tensor]) -> tuple[Any, ...]:
    """Return dx, the sum over siblings, and dw and db, concatenated over siblings."""
    x, w, *ys = ctx.saved_tensors
    attributes = ([1, 1], [0, 0, 0, 0], [1, 1], 1, ctx.precision)
    dx, of_filters = None, []
    for dy, y, part in zip(
        map(laid_out, dys), ys or [None] * len(dys), w.split(ctx.counts), strict=True
    ):
        if ctx.needs_input_grad[0]:
            of_x = conv2d_input_gradient(dy, y, part, x.shape, *attributes)
            dx = of_x if dx is None else dx + of_x
        if any(ctx.needs_input_grad[1:3]):
            of_filters.append(conv2d_weight_gradient(dy, y, x, part.shape, *attributes))
    dw, db = map(torch.cat, zip(*of_filters, strict=True)) if of_filters else (None, None)
    return dx, dw, db if ctx.has_bias else None, None, None


conv1x1_siblings.register_autograd(_backward, setup_context=_save_plain)
conv1x1_siblings_relu.register_autograd(_backward, setup_context=_save_relu)
