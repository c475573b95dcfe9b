"""Fully connected layer with bias and ReLU.

    y[n, o] = act(b[o] + sum over i of w[o, i] x[n, i])

with x [N, K], w [O, K], b [O] and y [N, O].

Up to eight images it is a product of a matrix and few vectors, and bandwidth decides: every element
of w is read once, 16 bytes a thread at a time past the L1 cache, which is left to x; it costs 2 N
operations and an element's bytes, so AlexNet's 9216 x 4096 in half precision takes 75.5 MB and 75
million operations an image.  Where there are too few outputs to keep a GPU reading, several
programs share a sum; a second launch adds their parts, always in the same order, so that results
repeat bit by bit.

Beyond eight images it is the matrix product of :mod:`netspec.kernels.conv.pointwise`, with x seen
as N pixels of K channels; so are the gradients, which are those of that convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator, accumulator_dtype, relu
from netspec.kernels.conv import pointwise
from netspec.kernels.launch import MULTIPROCESSORS, Launch, blocks, power_of_two
from netspec.kernels.layout import pitch
from netspec.kernels.sums import sum_of

FEW = 8
"""Images up to which w is streamed past vectors in registers."""

# ---------------------------------------------------------------------------------- configurations


@dataclass(frozen=True)
class Stream:
    """A program takes ``rows`` outputs and reads, every step, ``lanes`` x 16 bytes of each of their
    rows of w, a step ahead of what it computes; ``splits`` programs share one sum."""

    rows: int
    lanes: int
    warps: int = 4
    splits: int = 1

    def depth(self, dtype: torch.dtype) -> int:
        """Terms of a row that a program reads in one step."""
        return self.lanes * (16 // dtype.itemsize)


STREAMS = (Stream(4, 128), Stream(2, 256), Stream(1, 512), Stream(1, 128))
"""What there is to measure.  In all but the last, a thread has four reads of 16 bytes on the way:
at 24 warps a multiprocessor 48 kB, where the bandwidth of an H200 times its latency (4.3 TB/s, some
1 us, 132 multiprocessors) is 33 kB."""

PROGRAMS = 6 * MULTIPROCESSORS
"""Programs that keep a GPU reading: 24 warps a multiprocessor."""


def choose(count: int, terms: int, dtype: torch.dtype) -> Stream:
    """As many rows a program as leave enough programs; where even single rows are too few, each is
    split into as many parts as are missing, of two steps at least, or, where it is short, read by
    as many lanes as it has."""
    for stream in STREAMS[:3]:
        if blocks(count, stream.rows) >= PROGRAMS:
            return stream
    last = STREAMS[3]
    missing = blocks(PROGRAMS, max(count, 1))
    splits = min(missing, blocks(terms, last.depth(dtype)) // 2)
    if splits > 1:
        return replace(last, splits=splits)
    lanes = power_of_two(blocks(terms, 16 // dtype.itemsize))
    return STREAMS[2] if lanes > last.lanes else replace(last, lanes=lanes)


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def stream(
    x_ptr, w_ptr, b_ptr, y_ptr, x_pitch, batch, terms, count, span,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr,
    BATCH: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """ROWS outputs of every image, or their share of a split sum; grid: rows x splits.

    Axes are [image, row, lane, element]; a lane is WIDTH elements side by side, 16 bytes.
    """
    split = tl.program_id(1)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    images = tl.arange(0, BATCH)
    within = (tl.arange(0, LANES)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :])[None, None, :, :]
    x_image = x_ptr + images.to(tl.int64)[:, None, None, None] * x_pitch
    w_row = w_ptr + rows.to(tl.int64)[None, :, None, None] * terms
    is_image = (images < batch)[:, None, None, None]
    is_row = (rows < count)[None, :, None, None]
    first = split * span
    last = tl.minimum(first + span, terms)
    w = tl.load(
        w_row + (first + within),
        mask=is_row & (first + within < last),
        other=0.0,
        cache_modifier=".cg",
    )
    total = tl.zeros((BATCH, ROWS, LANES), ACCUMULATOR)
    for start in range(first, last, LANES * WIDTH):
        i = start + within
        x = tl.load(x_image + i, mask=is_image & (i < last), other=0.0)
        ahead = i + LANES * WIDTH
        w_ahead = tl.load(
            w_row + ahead, mask=is_row & (ahead < last), other=0.0, cache_modifier=".cg"
        )
        total += tl.sum(x.to(ACCUMULATOR) * w.to(ACCUMULATOR), axis=3)
        w = w_ahead
    y = tl.sum(total, axis=2)
    if b_ptr is not None:
        y += tl.load(b_ptr + rows, mask=rows < count, other=0.0).to(ACCUMULATOR)[None, :]
    if RELU:
        y = relu(y)
    at = (split * batch + images).to(tl.int64)[:, None] * count + rows[None, :]
    is_there = (images < batch)[:, None] & (rows < count)[None, :]
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=is_there)


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    *,
    relu: bool,
    precision: str = "ieee",
    configuration: Stream | None = None,
) -> list[Launch]:
    """The layer in one launch, or in two where sums are split; operands as those of ``fc``.

    ``configuration`` is for up to :data:`FEW` images; None is what :func:`choose` takes.
    """
    batch, terms = x.shape
    count = w.shape[0]
    if batch > FEW:
        tile = pointwise.choose(batch, [count], terms, x.dtype, precision)
        return pointwise.sibling_launches(
            as_map(x), as_map(w), b, [as_map(y)], relu=relu, precision=precision, tile=tile
        )
    configuration = configuration or choose(count, terms, x.dtype)
    depth = configuration.depth(x.dtype)
    span = blocks(blocks(terms, depth), configuration.splits) * depth
    arguments: dict[str, object] = {
        "x_ptr": x,
        "w_ptr": w,
        "b_ptr": b,
        "y_ptr": y,
        "x_pitch": pitch("x", as_map(x)),
        "batch": batch,
        "terms": terms,
        "count": count,
        "span": span,
        "RELU": relu,
        "ACCUMULATOR": accumulator(x.dtype),
        "BATCH": power_of_two(batch),
        "ROWS": configuration.rows,
        "LANES": configuration.lanes,
        "WIDTH": 16 // x.element_size(),
    }
    grid = (blocks(count, configuration.rows), configuration.splits if batch else 0)
    if configuration.splits == 1:
        return [Launch(stream, grid, arguments, configuration.warps)]
    parts = x.new_empty(configuration.splits, batch, count, dtype=accumulator_dtype(x.dtype))
    part = arguments | {"b_ptr": None, "y_ptr": parts, "RELU": False}
    return [Launch(stream, grid, part, configuration.warps), sum_of(parts, y, b, relu=relu)]


def as_map(x: Tensor) -> Tensor:
    """[N, K] as the map [N, 1, 1, K]."""
    return x[:, None, None, :]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """AlexNet's layers at batch 1, 8 and 32, one that is split, and LeNet-5's F6."""
    for batch, terms, count in (
        (1, 9216, 4096),
        (1, 4096, 1000),
        (1, 4096, 120),
        (8, 9216, 4096),
        (8, 120, 84),
        (32, 9216, 4096),
    ):
        x = torch.empty(batch, terms, dtype=dtype, device="meta")
        w, b, y = x.new_empty(count, terms), x.new_empty(count), x.new_empty(batch, count)
        for launch in launches(x, w, b, y, relu=True):
            name = launch.kernel.__name__
            yield f"fc {name} {terms} to {count}, batch {batch}", launch
