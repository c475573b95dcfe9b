"""The notations of printed kernels and sizes, and when they mean what is derived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from netspec.language import syntax
from netspec.operator import Operator, WindowOperator
from netspec.ops.concat import Concat
from netspec.ops.conv import Conv
from netspec.ops.fc import FullyConnected
from netspec.ops.gap import GlobalAveragePool
from netspec.shapes import Shape
from netspec.symbols import same


class Mismatch(NamedTuple):
    """Why a printed cell is not what is derived."""

    reason: str


def size_mismatch(printed: Sequence[Any], copies: int, shape: Shape) -> Mismatch | None:
    """Hold a printed size against a shape; ``N``, ``1xN`` and ``1x1xN`` are equal.

    ``copies`` devices have so many channels each, or so many maps are joined.
    """
    dims = [*printed[:-1], printed[-1] * copies]
    if shape.agrees_with(dims):
        return None
    return Mismatch(f"{Shape(dims)} is printed, and {shape} derived")


def kernel_shown(op: Operator, inputs: Sequence[Shape], depth: str) -> str:
    """The kernel of an operator as a table with this ``depth`` would print it."""
    if isinstance(op, Concat):
        return "concat"
    if isinstance(op, Conv) and depth == "out":
        return f"{op.kernel.height}x{op.kernel.width}x{op.count}/{op.stride_text}"
    return op.kernel_text(inputs) or "none"


def kernel_mismatch(
    given: syntax.Printed,
    dims: Sequence[Any],
    stride: Any,
    count: Any,
    op: Operator,
    inputs: Sequence[Shape],
    depth: str,
) -> Mismatch | None:
    """Hold a printed kernel against an operator."""
    wrong = [
        f"{what} is printed as {printed}, and is {derived}"
        for what, printed, derived in _pairs(given, dims, stride, count, op, inputs, depth)
        if same(printed, derived) is not True
    ]
    return Mismatch("; ".join(wrong)) if wrong else None


Pair = tuple[str, Any, Any]


def _pairs(
    given: syntax.Printed,
    dims: Sequence[Any],
    stride: Any,
    count: Any,
    op: Operator,
    inputs: Sequence[Shape],
    depth: str,
) -> Iterator[Pair]:
    """What is printed beside what is derived, number by number."""
    if not dims or isinstance(op, Concat):
        yield (
            "the kernel",
            "a join" if not dims else "x".join(map(str, dims)),
            ("a join" if isinstance(op, Concat) else op.name),
        )
    elif isinstance(op, FullyConnected):
        *rows, columns = dims
        yield "the number of inputs", prod(rows), inputs[0].elements
        yield "the number of outputs", columns * given.copies, op.count
        if stride is not None:
            yield "the stride", stride, "none"
    elif isinstance(op, Conv):
        yield from _conv(given, dims, count, op, inputs, depth)
        yield from _stride(stride, op)
    elif isinstance(op, WindowOperator | GlobalAveragePool):
        size = inputs[0][:2] if isinstance(op, GlobalAveragePool) else op.kernel.size
        yield "the height", dims[0], size[0]
        yield "the width", dims[1] if len(dims) > 1 else 1, size[1]
        if len(dims) > 2:
            yield "the number of channels", dims[2] * given.copies, inputs[0].channels
        if isinstance(op, WindowOperator):
            yield from _stride(stride, op)
        elif stride is not None:
            yield "the stride", stride, 1
    else:
        yield "the kernel", "x".join(map(str, dims)), "none"


def _conv(
    given: syntax.Printed,
    dims: Sequence[Any],
    count: Any,
    op: Conv,
    inputs: Sequence[Shape],
    depth: str,
) -> Iterator[Pair]:
    seen = op.channels_seen(inputs)
    if len(dims) == 2 and given.stride is None and count is None and op.kernel.size == (1, 1):
        yield "the number of inputs", dims[0], seen  # 16x16: a 1x1 convolution as a matrix
        yield "the number of outputs", dims[1] * given.copies, op.count
        return
    yield "the height", dims[0], op.kernel.height
    yield "the width", dims[1] if len(dims) > 1 else 1, op.kernel.width
    if len(dims) > 2 and (depth == "out" or given.grouped):
        yield "the number of filters", dims[2] * given.copies, op.count
    elif len(dims) > 2:
        yield "the number of channels", dims[2], seen
    if count is not None:
        yield "the number of filters", count * given.copies, op.count


def _stride(stride: Any, op: WindowOperator) -> Iterator[Pair]:
    if stride is not None:
        down, right = op.steps
        yield "the stride", stride, down if down == right else op.stride_text
