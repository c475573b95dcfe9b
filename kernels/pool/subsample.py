"""Trained subsampling: a coefficient times the window's mean or sum, plus a bias.

    y[n, i, j, c] = coefficient[c] p[n, i, j, c] + bias[c]
    p[n, i, j, c] = share (sum over r, s of x[n, i stride + r - top, j stride + s - left, c])

where share is 1 for the sum (LeCun et al. 1998, section II.B) and 1 / (kernel height x width) for
the mean, everywhere: taps outside of the map count as zeros.

    dx[n, h, w, c] = coefficient[c] share (sum over windows that cover (h, w) of dy[n, i, j, c])
    dcoefficient[c] = sum over n, i, j of dy[n, i, j, c] p[n, i, j, c]
    dbias[c] = sum over n, i, j of dy[n, i, j, c]

Forward and dx are the average pool's kernels, and the rest is in ``parameter_gradients.py``.  Only
x is kept.  2 x 2 / 2 in 16 bits moves, for each input element, 2.5 bytes forward,
2.5 for dx and 2.5 for the parameters, at one addition each (and a product for each output).

    netspec::subsample             y, differentiable
    netspec::subsample_backward    dx, dcoefficient and dbias
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor

from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import Launch, run
from netspec.kernels.layout import check, check_device, check_kind, laid_out, pitch
from netspec.kernels.pool import average_gradients, averages, parameter_gradients
from netspec.kernels.pool.geometry import check_size, checked, example, windows

BY = ("mean", "sum")
"""What the coefficient multiplies."""

NOTHING_COUNTED = {"FIRST_H": 0, "FIRST_W": 0, "end_h": 1, "end_w": 1}
"""For the average pool's kernels, whose share is the same everywhere here."""

# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor, coefficient: Tensor, bias: Tensor, y: Tensor, geometry: Geometry, *, by: str
) -> list[Launch]:
    """y [N, H', W', C] of ``x`` [N, H, W, C], ``coefficient`` [C] and ``bias`` [C], one launch."""
    return averages.launches(
        x,
        y,
        geometry,
        share=share_of(geometry, by),
        counts=NOTHING_COUNTED,
        coefficient=coefficient,
        bias=bias,
    )


def backward_launches(
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
    share = share_of(geometry, by)
    return [
        *average_gradients.launches(
            dy, dx, geometry, share=share, counts=NOTHING_COUNTED, coefficient=coefficient
        ),
        *parameter_gradients.launches(dy, x, dcoefficient, dbias, geometry, share=share),
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
    run(launches(x, coefficient, bias, y, geometry, by=by))
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
    run(backward_launches(dy, x, coefficient, dx, dcoefficient, dbias, geometry, by=by))
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
    gradients = subsample_backward(laid_out(dy), *ctx.saved_tensors, *ctx.attributes)
    return (*gradients, *[None] * len(ctx.attributes))


subsample.register_autograd(_gradient, setup_context=_keep)

# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """LeNet-5's S2 and S4, on tensors without memory; sums of parts are shipped with ``means``."""
    steps = [2, 2], [2, 2], [0, 0, 0, 0]
    x, y, geometry = example((32, 28, 28, 6), *steps, dtype)
    v = x.new_empty(6)
    (forward,) = launches(x, v, v, y, geometry, by="sum")
    yield "subsample 28x28x6 2x2/2", forward
    x, y, geometry = example((32, 10, 10, 16), *steps, dtype)
    v = x.new_empty(16)
    (forward,) = launches(x, v, v, y, geometry, by="sum")
    yield "subsample 10x10x16 2x2/2", forward
    in_x, parts, *_ = backward_launches(y, x, v, x, v, v, geometry, by="sum")
    yield "subsample backward 10x10x16 2x2/2 in x", in_x
    yield "subsample backward 10x10x16 2x2/2 in the parameters, parts", parts
