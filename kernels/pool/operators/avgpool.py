"""The operators: average pooling over windows.

    netspec::avgpool             y, differentiable
    netspec::avgpool_out         the same into a given y
    netspec::avgpool_backward    dx of dy

``averages.py`` and ``average_gradients.py`` say what is computed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.launch import run
from netspec.kernels.layout import check_apart, check_device, check_map, check_size, laid_out, pitch
from netspec.kernels.pool import average_gradients, averages
from netspec.kernels.pool.geometry import checked
from netspec.kernels.windows import Windows, windows_over


@torch.library.custom_op("netspec::avgpool", mutates_args=())
def avgpool(
    x: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> Tensor:
    """Average pooling of ``x`` [N, H, W, C] into y [N, H', W', C]; differentiable.

    ``kernel`` and ``stride`` are (height, width), ``padding`` (top, bottom, left, right) and
    ``overhang`` (bottom, right), in pixels; ``count_pad`` says whether the mean counts the padding.

    Raises:
        ValueError: a layout, a size or an attribute does not fit.
        TypeError: the kernels do not take the type.
    """
    check_device(x)
    pitch("x", x)
    windows = _windows(x.shape, kernel, stride, padding, overhang)
    y = x.new_empty(windows.size_out)
    share, counts = averages.counting(windows, padding, count_pad=count_pad)
    run(averages.launches(x, y, windows, share=share, counts=counts))
    return y


@torch.library.custom_op("netspec::avgpool_out", mutates_args={"y"})
def avgpool_out(
    x: Tensor,
    y: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> None:
    """:func:`avgpool` into ``y`` [N, H', W', C], which may be a slice of channels but no part of
    ``x``.  For inference: no gradient passes."""
    check_device(x)
    pitch("x", x)
    windows = _windows(x.shape, kernel, stride, padding, overhang)
    check_map("y", y, windows.size_out, like=x)
    check_apart(y, x=x)
    share, counts = averages.counting(windows, padding, count_pad=count_pad)
    run(averages.launches(x, y, windows, share=share, counts=counts))


@torch.library.custom_op("netspec::avgpool_backward", mutates_args=())
def avgpool_backward(
    dy: Tensor,
    height: int,
    width: int,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> Tensor:
    """dx [N, height, width, C] of ``dy`` [N, H', W', C]; raises as :func:`avgpool`."""
    check_device(dy)
    pitch("dy", dy)
    size = (dy.shape[0], height, width, dy.shape[3])
    windows = _windows(size, kernel, stride, padding, overhang)
    check_size("dy", dy, windows.size_out)
    dx = dy.new_empty(windows.size_in)
    share, counts = averages.counting(windows, padding, count_pad=count_pad)
    run(average_gradients.launches(dy, dx, windows, share=share, counts=counts))
    return dx


def _padded(padding: list[int], overhang: list[int]) -> list[int]:
    """Return padding and overhang as one, (top, bottom, left, right)."""
    top, bottom, left, right = padding
    return [top, bottom + overhang[0], left, right + overhang[1]]


def _windows(
    size: tuple[int, ...],
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
) -> Windows:
    if len(padding) != 4 or len(overhang) != 2 or min(overhang) < 0:
        raise ValueError(
            f"padding must be 4 integers and overhang 2, at least 0, and are {list(padding)} and "
            f"{list(overhang)}"
        )
    return checked(size, kernel, stride, _padded(padding, overhang))


@avgpool.register_fake
def _fake(
    x: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> Tensor:
    return x.new_empty(windows_over(x.shape, kernel, stride, _padded(padding, overhang)).size_out)


@avgpool_out.register_fake
def _fake_out(*arguments: object) -> None:
    return None


@avgpool_backward.register_fake
def _fake_backward(dy: Tensor, height: int, width: int, *attributes: object) -> Tensor:
    return dy.new_empty((dy.shape[0], height, width, dy.shape[3]))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.attributes = inputs
    ctx.size = x.shape[1:3]


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    dx = avgpool_backward(laid_out(dy), *ctx.size, *ctx.attributes)
    return (dx, *[None] * len(ctx.attributes))


avgpool.register_autograd(_gradient, setup_context=_keep)
