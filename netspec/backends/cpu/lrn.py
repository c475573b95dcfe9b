"""Local response normalisation: by oneDNN, or by shifted sums over tiles of pixels.

A map [N, H, W, C] in memory is a matrix of pixels x channels.  A tile is some rows of it, few
enough to stay in the cache.  Squares are summed over n adjacent columns of the tile.  With
r = 1 / sqrt(k + alpha sum), the power -3/4 is r sqrt(r), which is faster than a general power.
PyTorch's own LRN uses an average pool in three dimensions and a general power, and takes ten times
as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt

import torch
from torch import Tensor

from netspec.backends.cpu.direct import Direct
from netspec.backends.cpu.implementation import Call, CpuImplementation
from netspec.backends.cpu.onednn import primitives
from netspec.backends.cpu.onednn.layouts import Layout, activations, channels_last
from netspec.backends.cpu.onednn.primitives import Argument, Description, Launch, Memory, launch
from netspec.backends.cpu.pools import OneDnnPool, plain_pool
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.memory import nchw
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.growth import Growth
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem, Tensors

TILE = 2**18
"""Elements of a tile: one MiB in float32, so that the five tiles in use fit in the last cache.

Measured on two AVX-512 cores at a batch of 8: 2**16 takes 1.4 times as long, 2**19 the same time.
"""


class OneDnnLrn(Direct):
    """oneDNN's LRN, which is fast for n = 5, beta = 3/4 and a multiple of 16 channels."""

    def lacks(self, problem: Problem) -> str:
        return _inexact(_lrn(problem.op))

    def domain(self, problem: Problem, growth: Growth) -> float:
        return min(super().domain(problem, growth), _domain(_lrn(problem.op)))

    def describe(self, problem: Problem) -> None:
        _described(_lrn(problem.op), problem, problem.batch)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        op, layout = _lrn(problem.op), _layout(_lrn(problem.op), problem, len(y))
        memories = [
            (Argument.SOURCE, Memory(layout, _in_groups(op, x[0]))),
            (Argument.DESTINATION, Memory(layout, _in_groups(op, y))),
        ]
        return [launch(_described(op, problem, len(y)), memories, scratch)]


class OneDnnLrnMaxPool(Direct):
    """oneDNN's LRN and then the pool, one image at a time.

    So the normalised map stays in the cache.
    """

    def lacks(self, problem: Problem) -> str:
        return _inexact(_fused(problem).lrn)

    def domain(self, problem: Problem, growth: Growth) -> float:
        return min(super().domain(problem, growth), _domain(_fused(problem).lrn))

    def describe(self, problem: Problem) -> None:
        _described(_fused(problem).lrn, problem, 1)
        POOL.describe(_pool(problem))

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        op, pool = _fused(problem).lrn, _pool(problem)
        layout = _layout(op, problem, 1)
        between = Memory(layout, scratch)
        pooled = Memory(activations(1, problem.inputs[0], problem.dtype), between)
        first, then = _described(op, problem, 1), POOL.described(pool)
        calls: list[Launch] = []
        for image, result in zip(x[0], y, strict=True):
            source = Memory(layout, _in_groups(op, image))
            into = [(Argument.SOURCE, source), (Argument.DESTINATION, between)]
            destination = Memory(activations(1, pool.output, problem.dtype), result)
            out = [(Argument.SOURCE, pooled), (Argument.DESTINATION, destination)]
            calls += [launch(first, into, scratch), launch(then, out, scratch)]
        return calls


POOL = OneDnnPool()

LEAST, MOST = 1e-12, 2e12
"""Limits of the base k + alpha sum.

oneDNN computes the power -3/4 through the third power of the base.  Between these limits the third
power and its inverse are in float32's normal range, 1.2e-38 to 3.4e38.  Above 4.4e12 the inverse is
subnormal, and results are wrong by percents.
"""

LARGEST_SUM = 1e38
"""Limit of a sum of squares of operands: a third of float32's largest number."""

USUAL = 2.0**16
"""A magnitude that operands of LRN normally do not exceed."""


def _inexact(op: LocalResponseNorm) -> str:
    """Return the reason why oneDNN's LRN is wrong for operands up to ``USUAL``, or ""."""
    if LEAST <= op.k <= MOST / 2 and _domain(op) >= USUAL:
        return ""
    return (
        "oneDNN computes the third power of the denominator, which exceeds the range of float32 "
        f"with k={op.k:g} and alpha={op.alpha:g}"
    )


def _domain(op: LocalResponseNorm) -> float:
    """Return the magnitude of operands up to which oneDNN's LRN is right.

    The base must not exceed ``MOST``.  The sum of squares must not exceed ``LARGEST_SUM``: oneDNN
    multiplies by alpha after the sum, so a small alpha does not prevent an overflow.
    """
    squares = sqrt(LARGEST_SUM / op.n)
    return min(sqrt((MOST - op.k) / (op.n * op.alpha)), squares) if op.alpha else squares


def _fused(problem: Problem) -> LrnMaxPool:
    assert isinstance(problem.op, LrnMaxPool)
    return problem.op


def _pool(problem: Problem) -> Problem:
    """Return the pool after a normalisation, for one image."""
    return Problem(_fused(problem).pool, problem.inputs, problem.dtype, batch=1)


def _lrn(op: object) -> LocalResponseNorm:
    assert isinstance(op, LocalResponseNorm)
    return op


def _described(op: LocalResponseNorm, problem: Problem, batch: int) -> Description:
    layout = _layout(op, problem, batch)
    return primitives.lrn(layout, layout, n=op.n, alpha=op.alpha, beta=op.beta, k=op.k)


def _layout(op: LocalResponseNorm, problem: Problem, batch: int) -> Layout:
    """Return a layout in which each group of channels is a pixel of its own.

    oneDNN has no groups in LRN.  In this layout its windows stay within a group.
    """
    height, width, channels = problem.inputs[0]
    sizes = batch, channels // op.groups, height, width * op.groups
    return channels_last(sizes, problem.dtype)


def _in_groups(op: LocalResponseNorm, x: Tensor) -> Tensor:
    """Return a view of maps [..., H, W, C] as [..., H, W groups, C / groups], as in ``_layout``."""
    *leading, width, channels = x.shape
    return x.view(*leading, width * op.groups, channels // op.groups)


class TiledLrn(CpuImplementation):
    """LRN by shifted sums over tiles."""

    name = "tiles"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        return [partial(normalise(_lrn(problem.op), problem.inputs[0]), x[0], y)]


class TiledLrnMaxPool(CpuImplementation):
    """LRN by shifted sums over tiles, then the pool."""

    name = "tiles"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        op, result = _fused(problem), nchw(y)
        first, then = normalise(op.lrn, problem.inputs[0]), plain_pool(op.pool, problem.inputs)

        def call() -> None:
            normalised = torch.empty_like(x[0])
            first(x[0], normalised)
            result.copy_(then(nchw(normalised)))

        return [call]


def normalise(op: LocalResponseNorm, shape: Shape) -> Callable[[Tensor, Tensor], None]:
    """Return a function that normalises dense maps x [N, H, W, C] of one size into y.

    Each of the n terms of a sum includes k / n, so that the sum is the base k + alpha sum of
    squares without another pass over memory.  A term outside the map is only k / n.
    """
    channels, groups = shape.channels, op.groups
    part = channels // groups
    reach = min(op.n // 2, part - 1)
    terms = 2 * reach + 1
    rows = max(1, TILE // channels)

    def call(x: Tensor, y: Tensor) -> None:
        pixels, results = x.view(-1, channels), y.view(-1, channels)
        count = min(rows, len(pixels))
        share = torch.tensor(op.k / terms, dtype=x.dtype, device=x.device)
        term = x.new_empty(count, groups, part + 2 * reach)
        for rim in (term[..., :reach], term[..., reach + part :]):
            rim.fill_(op.k / terms)
        doubled = [x.new_empty(term.shape) for _ in range(terms.bit_length() - 1)]
        root = x.new_empty(count, groups, part)
        for start in range(0, len(pixels), rows):
            tile = pixels[start : start + rows].view(-1, groups, part)
            n = len(tile)
            torch.addcmul(share, tile, tile, value=op.alpha, out=term[:n, :, reach : reach + part])
            base = _window_sums(term[:n], [buffer[:n] for buffer in doubled], terms)
            power = _negative_power(base, root[:n], op.beta)
            torch.mul(tile, power, out=results[start : start + rows].view(-1, groups, part))

    return call


def _window_sums(term: Tensor, doubled: Sequence[Tensor], terms: int) -> Tensor:
    """Return the sums of ``terms`` neighbours along the last axis.

    Sums of 2, 4, 8, ... neighbours are made by doubling; the remaining terms are added one by one.
    So n terms need about log2(n) additions instead of n - 1.
    """
    total, width = term, 1
    for buffer in doubled:
        size = total.shape[-1] - width
        total = torch.add(total[..., :size], total[..., width:], out=buffer[..., :size])
        width *= 2
    total = total[..., : term.shape[-1] - terms + 1]
    for shift in range(width, terms):
        total.add_(term[..., shift : shift + total.shape[-1]])
    return total if doubled else total.clone()


def _negative_power(s: Tensor, r: Tensor, beta: float) -> Tensor:
    """Return s^-beta, computed in the memory of ``s`` and ``r``."""
    if beta == 0.75:
        s.rsqrt_()
        torch.sqrt(s, out=r)
        return r.mul_(s)
    if beta == 0.5:
        return s.rsqrt_()
    return s.reciprocal_() if beta == 1 else s.pow_(-beta)
