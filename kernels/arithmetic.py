"""What kernels compute in: accumulators, and how they round."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

PRECISIONS = ("ieee", "tf32")
"""Products of float32: exact, or rounded to TF32's 10 bits for the tensor cores, on request."""


def accumulator_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that sums are kept in: float64 for float64, float32 for everything shorter."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def accumulator(dtype: torch.dtype) -> tl.dtype:
    """The same, as a compile-time argument of a kernel."""
    return tl.float64 if dtype == torch.float64 else tl.float32


def check_precision(precision: str) -> None:
    """Refuse an unknown precision.

    Raises:
        ValueError: it is none of :data:`PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")


@triton.jit
def relu(x):
    """max(x, 0), where NaN stays NaN."""
    return tl.where(x < 0, 0.0, x)


@triton.jit
def finished(
    y, b_ptr, o, is_there, RELU: tl.constexpr, ACCUMULATOR: tl.constexpr
):  # fmt: skip
    """A tile of sums [rows, o] with its bias, if there is one, and its ReLU."""
    if b_ptr is not None:
        y += tl.load(b_ptr + o, mask=is_there, other=0.0).to(ACCUMULATOR)[None, :]
    if RELU:
        y = relu(y)
    return y


@triton.jit
def masked(dy, y):
    """The gradient that passes a ReLU whose output is y: none where y is 0 (or below)."""
    return tl.where(y <= 0, 0.0, dy)
