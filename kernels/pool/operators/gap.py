"""The operators of global average pooling.

    netspec::gap             y, differentiable
    netspec::gap_backward    dx from dy

``means.py`` has the formulas.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.launch import run
from netspec.kernels.layout import MOST_PIXELS, check_device, check_size, laid_out, pitch
from netspec.kernels.pool import means


@torch.library.custom_op("netspec::gap", mutates_args=())
def gap(x: Tensor) -> Tensor:
    """Return the means of the maps of ``x`` [N, H, W, C] as y [N, 1, 1, C]; differentiable.

    y[n, 0, 0, c] = (sum over h, w of x[n, h, w, c]) / (H W)

    Raises:
        ValueError: if x is not channels-last, or a map has no pixels or too many.
        TypeError: if the kernels do not support the type.
    """
    check_device(x)
    pitch("x", x)
    _check_map(x.shape[1], x.shape[2], x.shape[0])
    y = x.new_empty((x.shape[0], 1, 1, x.shape[3]))
    run(means.launches(x, y))
    return y


@torch.library.custom_op("netspec::gap_backward", mutates_args=())
def gap_backward(dy: Tensor, height: int, width: int) -> Tensor:
    """Return dx [N, height, width, C] from ``dy`` [N, 1, 1, C]; raise errors as :func:`gap`."""
    check_device(dy)
    pitch("dy", dy)
    check_size("dy", dy, (dy.shape[0], 1, 1, dy.shape[3]))
    _check_map(height, width, dy.shape[0])
    dx = dy.new_empty((dy.shape[0], height, width, dy.shape[3]))
    run(means.backward_launches(dy, dx))
    return dx


def _check_map(height: int, width: int, batch: int) -> None:
    if min(height, width) < 1 or batch * height * width > MOST_PIXELS:
        raise ValueError(
            f"{batch} maps of {height}x{width} have no pixels, or more than {MOST_PIXELS}"
        )


@gap.register_fake
def _fake(x: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], 1, 1, x.shape[3]))


@gap_backward.register_fake
def _fake_backward(dy: Tensor, height: int, width: int) -> Tensor:
    return dy.new_empty((dy.shape[0], height, width, dy.shape[3]))


def _keep(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.size = inputs[0].shape[1:3]


def _gradient(ctx: Any, dy: Tensor) -> Tensor:
    return gap_backward(laid_out(dy), *ctx.size)


gap.register_autograd(_gradient, setup_context=_keep)
