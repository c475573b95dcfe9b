"""Sums that several programs shared: their parts, added in order.

    y[m, o] = act(b[o] + p[0, m, o] + p[1, m, o] + ...)

No atomics, so the result is the same each time.  The parts are in the accumulator's type; each is
read once, 16 bytes a thread.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator, accumulator_dtype, relu
from netspec.kernels.launch import Launch, blocks

# --------------------------------------------------------------------------------- configurations

BLOCK = 512
"""Values of y that a program adds up."""

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def sum_parts(
    parts_ptr, b_ptr, y_ptr, y_pitch, size, count, parts,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """BLOCK values of y: parts is [parts, size], and size is rows x count."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    part_ptr = parts_ptr + i
    y = tl.zeros((BLOCK,), ACCUMULATOR)
    for _ in range(parts):
        y += tl.load(part_ptr, mask=i < size, other=0.0)
        part_ptr += size
    o = i % count
    if b_ptr is not None:
        y += tl.load(b_ptr + o, mask=i < size, other=0.0).to(ACCUMULATOR)
    if RELU:
        y = relu(y)
    tl.store(y_ptr + i // count * y_pitch + o, y.to(y_ptr.dtype.element_ty), mask=i < size)


# --------------------------------------------------------------------------------------- launches


def sum_of(
    parts: Tensor,
    y: Tensor,
    b: Tensor | None = None,
    *,
    relu: bool = False,
    pitch: int | None = None,
) -> Launch:
    """The sum as one launch.

    Args:
        parts: [parts, *size of y], contiguous, in the accumulator's type.
        y: where the sum goes; its last axis is o, its rows lie ``pitch`` apart.
        b: [o], or None.
        relu: whether negative sums become 0.
        pitch: elements between rows of y; None where y is contiguous.
    """
    arguments = {
        "parts_ptr": parts,
        "b_ptr": b,
        "y_ptr": y,
        "y_pitch": pitch or y.shape[-1],
        "size": y.numel(),
        "count": y.shape[-1],
        "parts": parts.shape[0],
        "RELU": relu,
        "ACCUMULATOR": accumulator(y.dtype),
        "BLOCK": BLOCK,
    }
    return Launch(sum_parts, (blocks(y.numel(), BLOCK),), arguments)


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Four parts of VGG16's last convolution at batch 1, with bias and ReLU."""
    y = torch.empty(1, 14, 14, 512, dtype=dtype, device="meta")
    parts = torch.empty(4, *y.shape, dtype=accumulator_dtype(dtype), device="meta")
    yield "sum of 4 parts, 14x14x512", sum_of(parts, y, y.new_empty(512), relu=True)
