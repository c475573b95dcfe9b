"""The operators of convolution, with and without ReLU.

    netspec::conv2d            y = b + x * w
    netspec::conv2d_relu       y = max(b + x * w, 0)
    netspec::conv2d_out, netspec::conv2d_relu_out                the same, written to a given y

``x`` and ``y`` may be slices of the channels of a larger tensor.  So the branches of a
concatenation can write their parts in place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.conv.configurations import forward_launches
from netspec.kernels.conv.geometry import Geometry, geometry_of
from netspec.kernels.conv.operators.gradients import (
    ATTRIBUTES,
    checked_operands,
    conv2d_input_gradient,
    conv2d_weight_gradient,
)
from netspec.kernels.launch import run
from netspec.kernels.layout import check_apart, check_map, laid_out
from netspec.kernels.windows import check_pixels

_FORWARD = f"(Tensor x, Tensor w, Tensor? b, {ATTRIBUTES}) -> Tensor"
_OUT = f"(Tensor x, Tensor w, Tensor? b, Tensor(a!) y, {ATTRIBUTES}) -> ()"


@torch.library.custom_op("netspec::conv2d", mutates_args=(), schema=_FORWARD)
def conv2d(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> Tensor:
    """Return the convolution of x with w, plus bias.

    y[n, i, j, o] = b[o] + sum over r, s, c of
    x[n, i s_h + r d_h - p_top, j s_v + s d_v - p_left, c] w[o, r, s, c], where x is 0 outside.

    Args:
        x: images [N, H, W, C], contiguous or a slice of the channels of a larger tensor.
        w: filters [O, kh, kw, C / groups], contiguous.
        b: bias [O], or None.
        stride: (height, width).
        padding: zeros (top, bottom, left, right).  For a convolution that rounds sizes up, bottom
            and right include the overhang.
        dilation: distance between taps (height, width).
        groups: number of groups of channels and filters.
        precision: ``"ieee"``, or ``"tf32"`` to round float32 factors for the tensor cores.

    Returns:
        [N, H', W', O], contiguous, in the type of x.  Sums are float32, or float64 for float64.

    Raises:
        ValueError: if sizes do not match, or a tensor is not channels-last (it is not copied).
        TypeError: if types or devices differ.
    """
    return _forward(x, w, b, stride, padding, dilation, groups, precision, relu=False)


@torch.library.custom_op("netspec::conv2d_relu", mutates_args=(), schema=_FORWARD)
def conv2d_relu(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> Tensor:
    """Return y = max(conv2d(x, w, b), 0); otherwise as conv2d."""
    return _forward(x, w, b, stride, padding, dilation, groups, precision, relu=True)


@torch.library.custom_op("netspec::conv2d_out", mutates_args=("y",), schema=_OUT)
def conv2d_out(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> None:
    """Write conv2d(x, w, b) to y [N, H', W', O], contiguous or a slice of channels.

    For inference: it is not differentiable.  y must not share elements with x, w or b.
    """
    _forward_into(x, w, b, y, stride, padding, dilation, groups, precision, relu=False)


@torch.library.custom_op("netspec::conv2d_relu_out", mutates_args=("y",), schema=_OUT)
def conv2d_relu_out(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> None:
    """Write conv2d_relu(x, w, b) to y; otherwise as conv2d_out."""
    _forward_into(x, w, b, y, stride, padding, dilation, groups, precision, relu=True)


def _forward(x: Tensor, w: Tensor, b: Tensor | None, *attributes: Any, relu: bool) -> Tensor:
    geometry = _checked(x, w, b, *attributes)
    y = x.new_empty(geometry.size_out)
    run(forward_launches(x, w, b, y, geometry, relu=relu, precision=attributes[-1]))
    return y


def _forward_into(
    x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, *attributes: Any, relu: bool
) -> None:
    geometry = _checked(x, w, b, *attributes)
    check_map("y", y, geometry.size_out, like=x)
    check_apart(y, x=x, w=w, b=b)
    run(forward_launches(x, w, b, y, geometry, relu=relu, precision=attributes[-1]))


def _checked(x: Tensor, w: Tensor, b: Tensor | None, *attributes: Any) -> Geometry:
    geometry = checked_operands(x, w, b, *attributes)
    check_pixels(geometry)
    return geometry


@conv2d.register_fake
@conv2d_relu.register_fake
def _(x: Tensor, w: Tensor, b: Tensor | None, *attributes: Any) -> Tensor:
    return x.new_empty(geometry_of(x, w, *attributes[:-1]).size_out)


@conv2d_out.register_fake
@conv2d_relu_out.register_fake
def _(x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, *attributes: Any) -> None:
    return None


# -------------------------------------------------------------------------------------- gradients


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor, *, relu: bool) -> None:
    x, w, b, *ctx.attributes = inputs
    ctx.has_bias = b is not None
    ctx.save_for_backward(x, w, output if relu else None)


def _backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    x, w, y = ctx.saved_tensors
    dy = laid_out(dy)
    dx = dw = db = None
    if ctx.needs_input_grad[0]:
        dx = conv2d_input_gradient(dy, y, w, x.shape, *ctx.attributes)
    if any(ctx.needs_input_grad[1:3]):
        dw, db = conv2d_weight_gradient(dy, y, x, w.shape, *ctx.attributes)
    return (dx, dw, db if ctx.has_bias else None, *(None for _ in ctx.attributes))


def _remember_relu(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _remember(ctx, inputs, output, relu=True)


def _remember_plain(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _remember(ctx, inputs, output, relu=False)


conv2d.register_autograd(_backward, setup_context=_remember_plain)
conv2d_relu.register_autograd(_backward, setup_context=_remember_relu)
