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
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator, accumulator_dtype, check_precision, relu
from netspec.kernels.conv import pointwise
from netspec.kernels.conv.gradients import conv2d_input_gradient, conv2d_weight_gradient
from netspec.kernels.conv.tiles import MULTIPROCESSORS
from netspec.kernels.launch import Launch, blocks, power_of_two, run
from netspec.kernels.layout import check, check_device, check_product, laid_out, pitch
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
    how: Stream | None = None,
) -> list[Launch]:
    """The layer in one launch, or in two where sums are split; operands as those of :func:`fc`.

    ``how`` is for up to :data:`FEW` images; None is what :func:`choose` takes.
    """
    batch, terms = x.shape
    count = w.shape[0]
    if batch > FEW:
        tile = pointwise.choose(batch, [count], terms, x.dtype, precision)
        return pointwise.sibling_launches(
            as_map(x), as_map(w), b, [as_map(y)], relu=relu, precision=precision, tile=tile
        )
    how = how or choose(count, terms, x.dtype)
    depth = how.depth(x.dtype)
    span = blocks(blocks(terms, depth), how.splits) * depth
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
        "ROWS": how.rows,
        "LANES": how.lanes,
        "WIDTH": 16 // x.element_size(),
    }
    grid = (blocks(count, how.rows), how.splits if batch else 0)
    if how.splits == 1:
        return [Launch(stream, grid, arguments, how.warps)]
    parts = x.new_empty(how.splits, batch, count, dtype=accumulator_dtype(x.dtype))
    part = arguments | {"b_ptr": None, "y_ptr": parts, "RELU": False}
    return [Launch(stream, grid, part, how.warps), sum_of(parts, y, b, relu=relu)]


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


# -------------------------------------------------------------------------------------- operators


def _made(x: Tensor, w: Tensor, b: Tensor | None, precision: str, *, relu: bool) -> Tensor:
    check_precision(precision)
    check_device(x)
    if x.dim() != 2:
        raise ValueError(f"x must be [N, K], and is {list(x.shape)}")
    pitch("x", as_map(x))
    if w.dim() != 2:
        raise ValueError(f"w must be [O, K], and is {list(w.shape)}")
    check("w", w, (w.shape[0], x.shape[1]), like=x)
    check_product(x)
    if w.numel() == 0:
        raise ValueError(f"w {list(w.shape)} has no outputs, or outputs of no inputs")
    if b is not None:
        check("b", b, (w.shape[0],), like=x)
    y = x.new_empty(x.shape[0], w.shape[0])
    run(launches(x, w, b, y, relu=relu, precision=precision))
    return y


@torch.library.custom_op("netspec::fc", mutates_args=())
def fc(x: Tensor, w: Tensor, b: Tensor | None, precision: str = "ieee") -> Tensor:
    """y[n, o] = b[o] + sum over i of w[o, i] x[n, i].

    Args:
        x: [N, K]; elements of a row lie side by side.
        w: [O, K], contiguous.
        b: [O], or None.
        precision: "ieee", or "tf32" for float32 products on tensor cores beyond eight images.

    Returns:
        [N, O].

    Raises:
        ValueError: sizes do not fit each other, or a layout is another one.
        TypeError: types or devices differ, or are none that the kernels run on.
    """
    return _made(x, w, b, precision, relu=False)


@torch.library.custom_op("netspec::fc_relu", mutates_args=())
def fc_relu(x: Tensor, w: Tensor, b: Tensor | None, precision: str = "ieee") -> Tensor:
    """max(y, 0) with the y of :func:`fc`; NaN stays NaN."""
    return _made(x, w, b, precision, relu=True)


def _empty(x: Tensor, w: Tensor, b: Tensor | None, precision: str = "ieee") -> Tensor:
    return x.new_empty(x.shape[0], w.shape[0])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, b, ctx.precision = inputs
    ctx.has_bias = b is not None
    ctx.save_for_backward(x, w)


def _save_relu(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, b, ctx.precision = inputs
    ctx.has_bias = b is not None
    ctx.save_for_backward(x, w, output)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
    """Those of the gradients that are asked for; y is saved where there is a ReLU."""
    x, w, *rest = ctx.saved_tensors
    y = as_map(rest[0]) if rest else None
    dy = laid_out(as_map(dy))
    steps = ([1, 1], [0, 0, 0, 0], [1, 1], 1, ctx.precision)
    of_x, of_w, of_b = ctx.needs_input_grad[:3]
    dx = dw = db = None
    if of_x:
        size = [x.shape[0], 1, 1, x.shape[1]]
        dx = conv2d_input_gradient(dy, y, as_map(w), size, *steps).flatten(1)
    if of_w or of_b:
        size = [w.shape[0], 1, 1, w.shape[1]]
        dw, db = conv2d_weight_gradient(dy, y, as_map(x), size, *steps)
        dw = dw.flatten(1)
    return dx, dw, db if ctx.has_bias else None, None


fc.register_fake(_empty)
fc.register_autograd(_backward, setup_context=_save)
fc_relu.register_fake(_empty)
fc_relu.register_autograd(_backward, setup_context=_save_relu)
