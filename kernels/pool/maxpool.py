"""The operators: max-pooling, alone and behind a ReLU.

    netspec::maxpool, netspec::relu_maxpool                        y, for inference
    netspec::maxpool_out, netspec::relu_maxpool_out                the same into a given y
    netspec::maxpool_with_index, netspec::relu_maxpool_with_index  y and its places, differentiable
    netspec::maxpool_backward                                      dx of dy and the places of either

:func:`max_pool` and :func:`relu_max_pool` pick among them.  ``maxima.py`` and ``max_gradients.py``
say what is computed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import run
from netspec.kernels.layout import check_apart, check_device, check_kind, laid_out, pitch
from netspec.kernels.pool import max_gradients, maxima
from netspec.kernels.pool.geometry import check_size, checked, windows

TAPS = 255
"""Taps whose places fit into a byte; behind a ReLU one less, since 255 means none."""


def max_pool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Max-pooling of ``x`` [N, H, W, C]; differentiable.

    ``kernel`` and ``stride`` are (height, width), ``padding`` (top, bottom, left, right); rounding
    up is overhang in bottom and right.  Autograd is registered on the operator with the index:
    this picks it where a gradient will be asked for, and ``netspec::maxpool`` elsewhere.

    Raises:
        ValueError: a layout, a size or an attribute is none that fits; more than 255 taps where a
            gradient is asked for.
        TypeError: the type is none that the kernels take.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return maxpool_with_index(x, kernel, stride, padding)[0]
    return maxpool(x, kernel, stride, padding)


def relu_max_pool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Max-pooling of max(x, 0), as :func:`max_pool`; with a gradient, of at most 254 taps."""
    if torch.is_grad_enabled() and x.requires_grad:
        return relu_maxpool_with_index(x, kernel, stride, padding)[0]
    return relu_maxpool(x, kernel, stride, padding)


@torch.library.custom_op("netspec::maxpool", mutates_args=())
def maxpool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """y [N, H', W', C] of ``x`` [N, H, W, C], for inference; :func:`max_pool` has a gradient."""
    return _forward(x, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::relu_maxpool", mutates_args=())
def relu_maxpool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """The same of max(x, 0)."""
    return _forward(x, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_out", mutates_args={"y"})
def maxpool_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    """:func:`maxpool` into ``y`` [N, H', W', C], which may be a slice of channels."""
    _forward_into(x, y, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::relu_maxpool_out", mutates_args={"y"})
def relu_maxpool_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    """:func:`relu_maxpool` into ``y`` [N, H', W', C], which may be a slice of channels."""
    _forward_into(x, y, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_with_index", mutates_args=())
def maxpool_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    """y and the bytes of its places [N, H', W', C], for training; at most 255 taps."""
    return _forward_with_index(x, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::relu_maxpool_with_index", mutates_args=())
def relu_maxpool_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    """The same of max(x, 0), with 255 where no gradient passes; at most 254 taps."""
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
    """dx [N, height, width, C] from ``dy`` and ``index`` [N, H', W', C], of either forward.

    Raises:
        ValueError: a layout, a size or an attribute is none that fits.
        TypeError: a type or a device is wrong.
    """
    check_device(dy)
    pitch("dy", dy)
    size = (dy.shape[0], height, width, dy.shape[3])
    geometry = checked(size, kernel, stride, padding)
    check_size("dy", dy, geometry.size_out)
    check_size("index", index, geometry.size_out)
    if index.dtype != torch.uint8 or index.device != dy.device or not index.is_contiguous():
        raise TypeError(f"index must be contiguous uint8 on {dy.device}, as the forward made it")
    dx = dy.new_empty(geometry.size_in)
    run(max_gradients.launches(dy, index, dx, geometry))
    return dx


def _forward(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], *, relu: bool
) -> Tensor:
    geometry = _geometry(x, kernel, stride, padding)
    y = x.new_empty(geometry.size_out)
    run(maxima.launches(x, y, None, geometry, relu=relu))
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
    geometry = _geometry(x, kernel, stride, padding)
    check_kind("y", y, x)
    pitch("y", y)
    check_size("y", y, geometry.size_out)
    check_apart(y, x=x)
    run(maxima.launches(x, y, None, geometry, relu=relu))


def _forward_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], *, relu: bool
) -> tuple[Tensor, Tensor]:
    geometry = _geometry(x, kernel, stride, padding)
    taps, most = geometry.kernel[0] * geometry.kernel[1], TAPS - relu
    if taps > most:
        raise ValueError(
            f"a window of {kernel[0]}x{kernel[1]} has {taps} taps; its index is one byte, which "
            f"holds {most}: a larger max-pool can be inferred, not trained"
        )
    y = x.new_empty(geometry.size_out)
    index = torch.empty(geometry.size_out, dtype=torch.uint8, device=x.device)
    run(maxima.launches(x, y, index, geometry, relu=relu))
    return y, index


def _geometry(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Geometry:
    check_device(x)
    pitch("x", x)
    return checked(x.shape, kernel, stride, padding)


def _fake(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    return x.new_empty(windows(x.shape, kernel, stride, padding).size_out)


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
    x, *ctx.steps = inputs
    ctx.size = x.shape[1:3]
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, dy: Tensor, _: object) -> tuple[Tensor, None, None, None]:
    (index,) = ctx.saved_tensors
    return maxpool_backward(laid_out(dy), index, *ctx.size, *ctx.steps), None, None, None


for _operator in (maxpool, relu_maxpool):
    _operator.register_fake(_fake)
for _operator in (maxpool_out, relu_maxpool_out):
    _operator.register_fake(_fake_out)
for _operator in (maxpool_with_index, relu_maxpool_with_index):
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
