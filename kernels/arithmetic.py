"""Arithmetic of kernels: accumulator types, precision of products, and ReLU."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

PRECISIONS = ("ieee", "tf32")
"""Precisions of float32 products: ``ieee`` is full float32; ``tf32`` rounds the factors to TF32's
10 bits for the tensor cores."""


def accumulator_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type of sums: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def accumulator(dtype: torch.dtype) -> tl.dtype:
    """Return the type of sums as a compile-time argument of a kernel."""
    return tl.float64 if dtype == torch.float64 else tl.float32


def check_precision(precision: str) -> None:
    """Raise ValueError if ``precision`` is not one of :data:`PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")


@triton.jit
def relu(x):
    """Return max(x, 0); NaN stays NaN."""
    return tl.where(x < 0, 0.0, x)


@triton.jit
def finished(
    y, b_ptr, o, is_there, RELU: tl.constexpr, ACCUMULATOR: tl.constexpr
):  # fmt: skip
    """Return a tile of sums [rows, o] plus the bias [o], if not None, with ReLU if RELU."""
    if b_ptr is not None:
        y += tl.load(b_ptr + o, mask=is_there, other=0.0).to(ACCUMULATOR)[None, :]
    if RELU:
        y = relu(y)
    return y


@triton.jit
def masked(dy, y):
    """Return the gradient before a ReLU with output y: dy where y > 0, else 0."""
    return tl.where(y <= 0, 0.0, dy)
