"""The operators of LRN, and of LRN with the max-pool after it.

    netspec::lrn                y, differentiable
    netspec::lrn_out            the same, written to a given y
    netspec::lrn_backward       dx from x and dy
    netspec::lrn_maxpool        the maxima of y over windows, for inference
    netspec::lrn_maxpool_out    the same, written to a given y

``scales.py``, ``forward.py``, ``backward.py`` and ``pooled.py`` have the formulas.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.launch import run
from netspec.kernels.layout import check_apart, check_device, check_map, laid_out, pitch
from netspec.kernels.lrn import backward, forward, pooled
from netspec.kernels.lrn.chunks import chunk_of
from netspec.kernels.lrn.scales import BLOCK
from netspec.kernels.windows import fitting_windows, windows_over


def check_lrn(x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int) -> None:
    """Check the arguments of an LRN of a map ``x`` [N, H, W, C].

    Raises:
        ValueError: if n is even or below 1; k is not above 0; alpha or beta is below 0; groups do
            not divide the channels; or the map is not channels-last, or too large.
        TypeError: if the kernels do not support the type.
    """
    check_device(x)
    pitch("x", x)
    if n < 1 or n % 2 == 0:
        raise ValueError(f"n must be odd and at least 1, and is {n}")
    if not (k > 0 and alpha >= 0 and beta >= 0):
        raise ValueError(
            f"k must be above 0, and alpha and beta at least 0; they are {k}, {alpha} and {beta}"
        )
    if groups < 1 or x.shape[3] % groups:
        raise ValueError(f"{x.shape[3]} channels cannot be divided into {groups} groups")
    if x.shape[0] * x.shape[1] * x.shape[2] >= 2**31 or x.numel() // chunk_of(x) >= 2**31 - BLOCK:
        raise ValueError(f"x {list(x.shape)} is more than one launch counts: split the batch")


@torch.library.custom_op("netspec::lrn", mutates_args=())
def lrn(x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1) -> Tensor:
    """Return x (k + alpha sum of x^2 over n channels)^-beta; x and the result are [N, H, W, C].

    Args:
        x: map [N, H, W, C], contiguous or a slice of channels.
        n: number of channels of a window; odd.
        k, alpha, beta: constants of the formula.
        groups: number of groups of channels; windows do not cross their borders.

    Raises:
        ValueError, TypeError: as :func:`check_lrn`.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    run(forward.launches(x, y, n, k, alpha, beta, groups))
    return y


@torch.library.custom_op("netspec::lrn_out", mutates_args={"y"})
def lrn_out(
    x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1
) -> None:
    """Write the result of :func:`lrn` to ``y`` [N, H, W, C], contiguous or a slice of channels.

    ``y`` must not share elements with ``x``.  For inference: it is not differentiable.

    Raises:
        ValueError, TypeError: as :func:`check_lrn` and :func:`check_map`.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    check_map("y", y, tuple(x.shape), like=x)
    check_apart(y, x=x)
    run(forward.launches(x, y, n, k, alpha, beta, groups))


@torch.library.custom_op("netspec::lrn_backward", mutates_args=())
def lrn_backward(
    x: Tensor, dy: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1
) -> Tensor:
    """Return the gradient dx of :func:`lrn` from ``x`` and ``dy``; all are [N, H, W, C].

    Raises:
        ValueError, TypeError: as :func:`check_lrn` and :func:`check_map`.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    check_map("dy", dy, tuple(x.shape), like=x)
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    run(backward.launches(x, dy, dx, n, k, alpha, beta, groups))
    return dx


@lrn.register_fake
def _(x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


@lrn_out.register_fake
def _(x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1) -> None:
    return None


@lrn_backward.register_fake
def _(
    x: Tensor, dy: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1
) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.attributes = inputs
    ctx.save_for_backward(x)


def _differentiate(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    (x,) = ctx.saved_tensors
    dx = lrn_backward(x, laid_out(dy), *ctx.attributes)
    return (dx, *[None] * len(ctx.attributes))


lrn.register_autograd(_differentiate, setup_context=_save)


# fmt: off
@torch.library.custom_op("netspec::lrn_maxpool", mutates_args=())
def lrn_maxpool(
    x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int,
    kernel: list[int], stride: list[int], padding: list[int],
) -> Tensor:
    """Return the maxima of LRN(x) over windows; x is [N, H, W, C], the result [N, H', W', C].

    ``kernel`` and ``stride`` are (height, width), ``padding`` is (top, bottom, left, right).

    Raises:
        ValueError, TypeError: as :func:`check_lrn`; ValueError also if the window does not fit.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    windows = fitting_windows(x.shape, kernel, stride, padding)
    y = x.new_empty(windows.size_out)
    run(pooled.launches(x, y, n, k, alpha, beta, groups, windows))
    return y


@torch.library.custom_op("netspec::lrn_maxpool_out", mutates_args={"y"})
def lrn_maxpool_out(
    x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int,
    kernel: list[int], stride: list[int], padding: list[int],
) -> None:
    """Write the result of :func:`lrn_maxpool` to ``y`` [N, H', W', C], or a slice of channels.

    ``y`` must not share elements with ``x``.

    Raises:
        ValueError, TypeError: as :func:`lrn_maxpool`; or if the size, type or device of y differs.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    windows = fitting_windows(x.shape, kernel, stride, padding)
    check_map("y", y, windows.size_out, like=x)
    check_apart(y, x=x)
    run(pooled.launches(x, y, n, k, alpha, beta, groups, windows))


@lrn_maxpool.register_fake
def _(
    x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int,
    kernel: list[int], stride: list[int], padding: list[int],
) -> Tensor:
    return x.new_empty(windows_over(x.shape, kernel, stride, padding).size_out)


@lrn_maxpool_out.register_fake
def _(
    x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int,
    kernel: list[int], stride: list[int], padding: list[int],
) -> None:
    return None
# fmt: on
