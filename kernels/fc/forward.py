"""Fully connected layer with bias and ReLU.

    y[n, o] = act(b[o] + sum over i of w[o, i] x[n, i])

with x [N, K], w [O, K], b [O] and y [N, O].

For up to eight images, this is a product of a matrix and a few vectors, and bandwidth is the limit.
Every element of w is read once, 16 bytes per thread, bypassing the L1 cache, which is kept for x.
An element costs 2 N operations: AlexNet's 9216 x 4096 layer in half precision reads 75.5 MB and
takes 75 million operations per image.  If there are too few outputs to keep a GPU busy, several
programs share a sum.  A second launch adds their parts in a fixed order, so that results are the
same bits each time.

For more than eight images, :mod:`netspec.kernels.conv.pointwise` computes the product, with x as N
pixels of K channels.  The gradients are those of that convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels import measured
from netspec.kernels.arithmetic import accumulator, accumulator_dtype, relu
from netspec.kernels.conv import configurations, pointwise
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import MULTIPROCESSORS, Launch, blocks, power_of_two
from netspec.kernels.layout import pitch
from netspec.kernels.sums import sum_of

FEW = 8
"""Maximum number of images for this kernel, which keeps their values in registers."""

# ---------------------------------------------------------------------------------- configurations


@dataclass(frozen=True)
class Stream:
    """The work of a program: ``rows`` outputs, of which ``splits`` programs share each sum.

    In each step it reads ``lanes`` x 16 bytes of each of its rows of w, one step ahead of the
    products.
    """

    rows: int
    lanes: int
    warps: int = 4
    splits: int = 1

    @property
    def name(self) -> str:
        """Rows, lanes, splits and warps: ``stream-4x128-4w``."""
        splits = f"/{self.splits}" if self.splits > 1 else ""
        return f"stream-{self.rows}x{self.lanes}{splits}-{self.warps}w"

    def depth(self, dtype: torch.dtype) -> int:
        """Return the number of terms of a row that a program reads in one step."""
        return self.lanes * (16 // dtype.itemsize)


STREAMS = (Stream(4, 128), Stream(2, 256), Stream(1, 512), Stream(1, 128))
"""The configurations to measure.  In all but the last, a thread has four 16-byte reads in flight.
With 24 warps per multiprocessor these are 48 kB; 33 kB are enough, which is bandwidth times latency
of an H200 (4.3 TB/s, about 1 us, 132 multiprocessors)."""

PROGRAMS = 6 * MULTIPROCESSORS
"""Number of programs that keep a GPU busy: 24 warps per multiprocessor."""


def choose(count: int, terms: int, dtype: torch.dtype) -> Stream:
    """Return a configuration with enough programs to keep a GPU busy.

    It has as many rows per program as that allows.  If one row per program still makes too few
    programs, each row is split into parts of at least two steps, or, if it is short, read with as
    many lanes as it has.
    """
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
    """Compute ROWS outputs of every image, or a part of their sums; grid: rows x splits.

    Axes are [image, row, lane, element]; a lane is WIDTH adjacent elements, 16 bytes.
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
    """Return the launch of the layer, or two launches if sums are split; operands as for ``fc``.

    ``configuration`` is for up to :data:`FEW` images.  If it is None, and for more images, the
    fastest is used: by measurement, or without one by a model.
    """
    batch, terms = x.shape
    count = w.shape[0]
    if batch > FEW:
        product = product_of(batch, terms, count)
        if found := configurations.found(product, x.dtype, precision):
            maps = as_map(x), as_map(w), b, as_map(y), product
            return configurations.forward_launches(
                *maps, relu=relu, precision=precision, configuration=found
            )
        tile = pointwise.choose(batch, [count], terms, x.dtype, precision)
        return pointwise.sibling_launches(
            as_map(x), as_map(w), b, [as_map(y)], relu=relu, precision=precision, tile=tile
        )
    problem = described(batch, terms, count, x.dtype)
    configuration = configuration or measured.fastest(problem, lambda: STREAMS)
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


def described(batch: int, terms: int, count: int, dtype: torch.dtype) -> str:
    """Return a layer for few images in one line, as the key of its measurement."""
    return f"fc {terms} to {count}, batch {batch}, in {dtype}"


def product_of(batch: int, terms: int, count: int) -> Geometry:
    """Return the layer as a 1x1 convolution of maps with one pixel."""
    return Geometry(batch=batch, height=1, width=1, channels=terms, count=count, kernel=(1, 1))


def as_map(x: Tensor) -> Tensor:
    """Return x [N, K] as the map [N, 1, 1, K]."""
    return x[:, None, None, :]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield launches of AlexNet's layers at batch 1, 8 and 32, of one split layer, and of LeNet-5's
    F6."""
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
