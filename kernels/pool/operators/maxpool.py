"""The operators of max-pooling, alone and after a ReLU.

    netspec::maxpool, netspec::maxpool_relu                        y, for inference
    netspec::maxpool_out, netspec::maxpool_relu_out                the same, written to a given y
    netspec::maxpool_with_index, netspec::maxpool_relu_with_index  y and index, differentiable
    netspec::maxpool_backward                                      dx from dy and index

The index has the places of the maxima.  :func:`max_pool` and :func:`max_pool_relu` choose one of
these operators.  ``maxima.py`` and ``max_gradients.py`` have the formulas.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.launch import run
from netspec.kernels.layout import check_apart, check_device, check_map, check_size, laid_out, pitch
from netspec.kernels.pool import max_gradients, maxima
from netspec.kernels.pool.geometry import checked
from netspec.kernels.windows import Windows, windows_over

TAPS = 255
"""Maximum number of taps, since a place is one byte; with ReLU one less, since 255 is no place."""


def max_pool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Return the maximum of each window of ``x`` [N, H, W, C]; differentiable.

    Only the operator with an index supports autograd.  This function calls it if ``x`` requires a
    gradient, and ``netspec::maxpool`` otherwise.

    Args:
        x: map [N, H, W, C], contiguous or a slice of channels.
        kernel, stride: (height, width).
        padding: (top, bottom, left, right); if sizes round up, bottom and right include the
            overhang.

    Returns:
        y, [N, H', W', C].

    Raises:
        ValueError: if a layout, a size or an attribute is not valid, or if a gradient is required
            and a window has more than 255 taps.
        TypeError: if the kernels do not support the type.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return maxpool_with_index(x, kernel, stride, padding)[0]
    return maxpool(x, kernel, stride, padding)


def max_pool_relu(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Return max_pool(max(x, 0)), as :func:`max_pool`; with a gradient, at most 254 taps."""
    if torch.is_grad_enabled() and x.requires_grad:
        return maxpool_relu_with_index(x, kernel, stride, padding)[0]
    return maxpool_relu(x, kernel, stride, padding)


@torch.library.custom_op("netspec::maxpool", mutates_args=())
def maxpool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Return y [N, H', W', C] from x [N, H, W, C], for inference; see :func:`max_pool`."""
    return _forward(x, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::maxpool_relu", mutates_args=())
def maxpool_relu(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Return maxpool(max(x, 0)), for inference."""
    return _forward(x, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_out", mutates_args={"y"})
def maxpool_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    """Write the result of :func:`maxpool` to ``y`` [N, H', W', C], or a slice of channels."""
    _forward_into(x, y, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::maxpool_relu_out", mutates_args={"y"})
def maxpool_relu_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    """Write the result of :func:`maxpool_relu` to ``y`` [N, H', W', C], or a slice of channels."""
    _forward_into(x, y, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_with_index", mutates_args=())
def maxpool_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    """Return y and its index, uint8 [N, H', W', C], for training; at most 255 taps."""
    return _forward_with_index(x, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::maxpool_relu_with_index", mutates_args=())
def maxpool_relu_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    """Return maxpool_with_index(max(x, 0)); the index is 255 where the gradient is 0.

    At most 254 taps.
    """
    return _forward_with_index(x, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_backward", mutates_args=())
def maxpool_backward(
    dy: Tensor,
    index: Tensor,
    height: int,
    width: int,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
) -> Tensor:
    """Return dx [N, height, width, C] from dy and index [N, H', W', C], with or without ReLU.

    Raises:
        ValueError: if a layout, a size or an attribute is not valid.
        TypeError: if a type or a device is not valid.
    """
    check_device(dy)
    pitch("dy", dy)
    size = (dy.shape[0], height, width, dy.shape[3])
    windows = checked(size, kernel, stride, padding)
    check_size("dy", dy, windows.size_out)
    check_size("index", index, windows.size_out)
    if index.dtype != torch.uint8 or index.device != dy.device or not index.is_contiguous():
        raise TypeError(
            f"index must be contiguous uint8 on {dy.device}, as the forward operator returns it"
        )
    dx = dy.new_empty(windows.size_in)
    run(max_gradients.launches(dy, index, dx, windows))
    return dx


def _forward(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], *, relu: bool
) -> Tensor:
    windows = _windows(x, kernel, stride, padding)
    y = x.new_empty(windows.size_out)
    run(maxima.launches(x, y, None, windows, relu=relu))
    return y


def _forward_into(
    x: Tensor,
    y: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    *,
    relu: bool,
) -> None:
    windows = _windows(x, kernel, stride, padding)
    check_map("y", y, windows.size_out, like=x)
    check_apart(y, x=x)
    run(maxima.launches(x, y, None, windows, relu=relu))


def _forward_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], *, relu: bool
) -> tuple[Tensor, Tensor]:
    windows = _windows(x, kernel, stride, padding)
    taps, most = windows.kernel[0] * windows.kernel[1], TAPS - relu
    if taps > most:
        raise ValueError(
            f"a window of {kernel[0]}x{kernel[1]} has {taps} taps, but training supports at most "
            f"{most}, since an index is one byte: use a smaller kernel, or inference only"
        )
    y = x.new_empty(windows.size_out)
    index = torch.empty(windows.size_out, dtype=torch.uint8, device=x.device)
    run(maxima.launches(x, y, index, windows, relu=relu))
    return y, index


def _windows(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Windows:
    check_device(x)
    pitch("x", x)
    return checked(x.shape, kernel, stride, padding)


def _fake(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    return x.new_empty(windows_over(x.shape, kernel, stride, padding).size_out)


def _fake_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    y = _fake(x, kernel, stride, padding)
    return y, torch.empty_like(y, dtype=torch.uint8)


def _fake_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    return None


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, *ctx.attributes = inputs
    ctx.size = x.shape[1:3]
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, dy: Tensor, _: object) -> tuple[Tensor, None, None, None]:
    (index,) = ctx.saved_tensors
    return maxpool_backward(laid_out(dy), index, *ctx.size, *ctx.attributes), None, None, None


for _operator in (maxpool, maxpool_relu):
    _operator.register_fake(_fake)
for _operator in (maxpool_out, maxpool_relu_out):
    _operator.register_fake(_fake_out)
for _operator in (maxpool_with_index, maxpool_relu_with_index):
    _operator.register_fake(_fake_with_index)
    _operator.register_autograd(_gradient, setup_context=_save)


@maxpool_backward.register_fake
def _fake_backward(
    dy: Tensor,
    index: Tensor,
    height: int,
    width: int,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
) -> Tensor:
    return dy.new_empty((dy.shape[0], height, width, dy.shape[3]))
