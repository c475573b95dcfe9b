"""Trained subsampling: a coefficient times the window's mean or sum, plus a bias.

    y[n, i, j, c] = coefficient[c] p[n, i, j, c] + bias[c]
    p[n, i, j, c] = share (sum over r, s of x[n, i stride + r - top, j stride + s - left, c])

where share is 1 for the sum (LeCun et al. 1998, section II.B) and 1 / (kernel height x width) for
the mean, everywhere: taps outside of the map count as zeros.

    dx[n, h, w, c] = coefficient[c] share (sum over windows that cover (h, w) of dy[n, i, j, c])
    dcoefficient[c] = sum over n, i, j of dy[n, i, j, c] p[n, i, j, c]
    dbias[c] = sum over n, i, j of dy[n, i, j, c]

Forward and dx are the average pool's kernels.  The sums over pixels are cut into parts, which a
second kernel adds up in one order, so they too have the same bits each time.  Only x is kept: its
means are computed again.  2 x 2 / 2 in 16 bits moves, for each input element, 2.5 bytes forward,
2.5 for dx and 2.5 for the parameters, at one addition each (and a product for each output).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.avgpool import (
    average_backward_launches,
    average_launches,
    parts_of,
    sum_of_parts,
    window_sums,
)
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import Launch, blocks, run
from netspec.kernels.layout import check, check_device, check_kind, pitch
from netspec.kernels.pool_geometry import (
    as_map,
    check_size,
    checked,
    choose,
    sizes,
    steps,
    windows,
)

BY = ("mean", "sum")
"""What the coefficient multiplies."""

NOTHING_COUNTED = {"FIRST_H": 0, "FIRST_W": 0, "end_h": 1, "end_w": 1}
"""For the average pool's kernels, whose share is the same everywhere here."""

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def parameter_sums(
    x_ptr, dy_ptr, dcoefficient_ptr, dbias_ptr, x_pitch, dy_pitch, pixels, parts,
    batch, height, width, height_out, width_out, channels,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr,
    SHARE: tl.constexpr, ACCUMULATOR: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Sums of dy p and of dy over a part of the output pixels; grid: channels x parts."""
    tiles = tl.cdiv(channels, CHANNELS)
    c = tl.program_id(0) % tiles * CHANNELS + tl.arange(0, CHANNELS)
    part = tl.program_id(0) // tiles
    share = tl.cdiv(tl.cdiv(pixels, PIXELS), parts) * PIXELS
    dcoefficient = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
    dbias = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
    for first in range(part * share, tl.minimum((part + 1) * share, pixels), PIXELS):
        pixel = first + tl.arange(0, PIXELS)
        is_real = (pixel < pixels)[:, None] & (c < channels)[None, :]
        rest = pixel // width_out
        total = window_sums(
            x_ptr, rest // height_out, rest % height_out * STRIDE_H - PADDING_TOP,
            pixel % width_out * STRIDE_W - PADDING_LEFT, c, is_real, x_pitch, height, width,
            KERNEL_H, KERNEL_W, PADDING_TOP, PADDING_LEFT, INSIDE_H, INSIDE_W, ACCUMULATOR,
        )  # fmt: skip
        dy_at = dy_ptr + (pixel.to(tl.int64) * dy_pitch)[:, None] + c[None, :]
        dy = tl.load(dy_at, is_real, other=0.0).to(ACCUMULATOR)
        dcoefficient += dy * (total * SHARE)
        dbias += dy
    at = part * channels + c
    tl.store(dcoefficient_ptr + at, tl.sum(dcoefficient, 0), c < channels)
    tl.store(dbias_ptr + at, tl.sum(dbias, 0), c < channels)


# --------------------------------------------------------------------------------------- launches


def subsample_launches(
    x: Tensor, coefficient: Tensor, bias: Tensor, y: Tensor, geometry: Geometry, *, by: str
) -> list[Launch]:
    """y [N, H', W', C] of ``x`` [N, H, W, C], ``coefficient`` [C] and ``bias`` [C], one launch."""
    return average_launches(
        x,
        y,
        geometry,
        share=share_of(geometry, by),
        counts=NOTHING_COUNTED,
        coefficient=coefficient,
        bias=bias,
    )


def subsample_backward_launches(
    dy: Tensor,
    x: Tensor,
    coefficient: Tensor,
    dx: Tensor,
    dcoefficient: Tensor,
    dbias: Tensor,
    geometry: Geometry,
    *,
    by: str,
) -> list[Launch]:
    """``dy`` [N, H', W', C] into ``dx`` [N, H, W, C], ``dcoefficient`` [C] and ``dbias`` [C]."""
    tile = choose(geometry.channels, x.dtype)
    tiles = blocks(geometry.channels, tile.channels)
    parts = parts_of(geometry.pixels_out, tiles, tile.pixels)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    sums = [x.new_empty((parts, geometry.channels), dtype=dtype) for _ in range(2)]
    arguments = (
        sizes(geometry)
        | steps(geometry)
        | tile.constants()
        | {
            "x_ptr": x,
            "dy_ptr": dy,
            "dcoefficient_ptr": sums[0],
            "dbias_ptr": sums[1],
            "x_pitch": pitch("x", x),
            "dy_pitch": pitch("dy", dy),
            "pixels": geometry.pixels_out,
            "parts": parts,
            "SHARE": share_of(geometry, by),
            "ACCUMULATOR": accumulator(x.dtype),
        }
    )
    return [
        *average_backward_launches(
            dy,
            dx,
            geometry,
            share=share_of(geometry, by),
            counts=NOTHING_COUNTED,
            coefficient=coefficient,
        ),
        Launch(parameter_sums, (tiles * parts,), arguments, tile.warps),
        sum_of_parts(sums[0], dcoefficient),
        sum_of_parts(sums[1], dbias),
    ]


def share_of(geometry: Geometry, by: str) -> float:
    """What the sums of windows are multiplied by."""
    return 1.0 / prod(geometry.kernel) if by == "mean" else 1.0


# -------------------------------------------------------------------------------------- operators


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
    """Subsampling of ``x`` [N, H, W, C] into y [N, H', W', C]; differentiable.

    ``coefficient`` and ``bias`` are [C], ``kernel`` and ``stride`` (height, width), ``padding``
    (top, bottom, left, right) with the overhang; ``by`` is "mean" or "sum".

    Raises:
        ValueError: a layout, a size or an attribute is none that fits.
        TypeError: types or devices differ, or are none that the kernels take.
    """
    geometry = _geometry(x, coefficient, kernel, stride, padding, by)
    check("bias", bias, (geometry.channels,), like=x)
    y = x.new_empty(geometry.size_out)
    run(subsample_launches(x, coefficient, bias, y, geometry, by=by))
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
    """dx [N, H, W, C], dcoefficient [C] and dbias [C]; raises as :func:`subsample`."""
    geometry = _geometry(x, coefficient, kernel, stride, padding, by)
    check_kind("dy", dy, x)
    pitch("dy", dy)
    check_size("dy", dy, geometry.size_out)
    dx = x.new_empty(geometry.size_in)
    dcoefficient, dbias = torch.empty_like(coefficient), torch.empty_like(coefficient)
    run(subsample_backward_launches(dy, x, coefficient, dx, dcoefficient, dbias, geometry, by=by))
    return dx, dcoefficient, dbias


def _geometry(
    x: Tensor,
    coefficient: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    by: str,
) -> Geometry:
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
    return x.new_empty(windows(x.shape, kernel, stride, padding).size_out)


@subsample_backward.register_fake
def _fake_backward(
    dy: Tensor, x: Tensor, coefficient: Tensor, *attributes: object
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), torch.empty_like(coefficient), torch.empty_like(coefficient)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, coefficient, _, *ctx.attributes = inputs
    ctx.save_for_backward(x, coefficient)


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    gradients = subsample_backward(as_map(dy), *ctx.saved_tensors, *ctx.attributes)
    return (*gradients, *[None] * len(ctx.attributes))


subsample.register_autograd(_gradient, setup_context=_keep)

# ---------------------------------------------------------------------------------------- shipped

SHIPPED = (
    ("28x28x6 2x2/2", (32, 28, 28, 6), [2, 2], [2, 2]),
    ("10x10x16 2x2/2", (32, 10, 10, 16), [2, 2], [2, 2]),
)
"""LeNet-5's S2 and S4."""


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Launches of the layers that the configurations are meant for, on tensors without memory."""
    for name, size, kernel, stride in SHIPPED:
        geometry = checked(size, kernel, stride, [0, 0, 0, 0])
        x = torch.empty(size, dtype=dtype, device="meta")
        y = torch.empty(geometry.size_out, dtype=dtype, device="meta")
        v = torch.empty(size[3], dtype=dtype, device="meta")
        (forward,) = subsample_launches(x, v, v, y, geometry, by="sum")
        yield f"subsample {name}", forward
        gradients = subsample_backward_launches(y, x, v, x, v, v, geometry, by="sum")
        names = ("in x", "in the parameters, parts", "in the parameters, sums of parts")
        for step, launch in zip(names, gradients, strict=False):
            yield f"subsample backward {name} {step}", launch
