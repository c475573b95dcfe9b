"""The operators of average pooling over windows.

    netspec::avgpool             y, differentiable
    netspec::avgpool_out         the same, written to a given y
    netspec::avgpool_backward    dx from dy

``averages.py`` and ``average_gradients.py`` have the formulas.
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
    """Return the mean of each window of ``x``; differentiable.

    Args:
        x: map [N, H, W, C], contiguous or a slice of channels.
        kernel, stride: (height, width).
        padding: (top, bottom, left, right), in pixels.
        overhang: (bottom, right), in pixels, for sizes that round up; means never count it.
        count_pad: True if means count the padding, whose values are 0.

    Returns:
        y, [N, H', W', C].

    Raises:
        ValueError: if a layout, a size or an attribute is not valid.
        TypeError: if the kernels do not support the type.
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
    """Write the result of :func:`avgpool` to ``y`` [N, H', W', C], or a slice of channels.

    ``y`` must not share elements with ``x``.  For inference: it is not differentiable.
    """
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
    """Return dx [N, height, width, C] from dy [N, H', W', C]; raise errors as :func:`avgpool`."""
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
    """Return the padding including the overhang, (top, bottom, left, right)."""
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
