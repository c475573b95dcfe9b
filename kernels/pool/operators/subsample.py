"""The operators of trained subsampling.

    netspec::subsample             y, differentiable
    netspec::subsample_backward    dx, dcoefficient and dbias

:mod:`netspec.kernels.pool.subsample` has the formulas.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.launch import run
from netspec.kernels.layout import check, check_device, check_map, laid_out, pitch
from netspec.kernels.pool.geometry import checked
from netspec.kernels.pool.subsample import BY, backward_launches, launches
from netspec.kernels.windows import Windows, windows_over


@torch.library.custom_op("netspec::subsample", mutates_args=())
def subsample(
    x: Tensor,
    coefficient: Tensor,
    bias: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    by: str,
) -> Tensor:
    """Return coefficient[c] times the mean or sum of each window, plus bias[c]; differentiable.

    Args:
        x: map [N, H, W, C], contiguous or a slice of channels.
        coefficient, bias: [C].
        kernel, stride: (height, width).
        padding: (top, bottom, left, right), including the overhang.
        by: "mean" or "sum".

    Returns:
        y, [N, H', W', C].

    Raises:
        ValueError: if a layout, a size or an attribute is not valid.
        TypeError: if types or devices differ, or the kernels do not support them.
    """
    windows = _windows(x, coefficient, kernel, stride, padding, by)
    check("bias", bias, (windows.channels,), like=x)
    y = x.new_empty(windows.size_out)
    run(launches(x, coefficient, bias, y, windows, by=by))
    return y


@torch.library.custom_op("netspec::subsample_backward", mutates_args=())
def subsample_backward(
    dy: Tensor,
    x: Tensor,
    coefficient: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    by: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx [N, H, W, C], dcoefficient [C] and dbias [C]; raise errors as :func:`subsample`."""
    windows = _windows(x, coefficient, kernel, stride, padding, by)
    check_map("dy", dy, windows.size_out, like=x)
    dx = x.new_empty(windows.size_in)
    dcoefficient, dbias = torch.empty_like(coefficient), torch.empty_like(coefficient)
    run(backward_launches(dy, x, coefficient, dx, dcoefficient, dbias, windows, by=by))
    return dx, dcoefficient, dbias


def _windows(
    x: Tensor,
    coefficient: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    by: str,
) -> Windows:
    check_device(x)
    pitch("x", x)
    if by not in BY:
        raise ValueError(f"by must be one of {', '.join(BY)}, not {by!r}")
    check("coefficient", coefficient, (x.shape[3],), like=x)
    return checked(x.shape, kernel, stride, padding)


@subsample.register_fake
def _fake(
    x: Tensor,
    coefficient: Tensor,
    bias: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    by: str,
) -> Tensor:
    return x.new_empty(windows_over(x.shape, kernel, stride, padding).size_out)


@subsample_backward.register_fake
def _fake_backward(
    dy: Tensor, x: Tensor, coefficient: Tensor, *attributes: object
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), torch.empty_like(coefficient), torch.empty_like(coefficient)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, coefficient, _, *ctx.attributes = inputs
    ctx.save_for_backward(x, coefficient)


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    gradients = subsample_backward(laid_out(dy), *ctx.saved_tensors, *ctx.attributes)
    return (*gradients, *[None] * len(ctx.attributes))


subsample.register_autograd(_gradient, setup_context=_keep)
