"""Compare printed kernels and sizes, in all their notations, with derived ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from netspec.ir.operator import Operator, WindowOperator
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.gmp import GlobalMaxPool
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.shapes import Shape
from netspec.ir.symbols import by, same


class Mismatch(NamedTuple):
    """A difference between a printed cell and the derived value."""

    reason: str


class Numbers(NamedTuple):
    """The numbers of a printed kernel or size.

    ``stride`` comes after a slash, ``count`` after a comma; ``copies`` devices have one each; the
    first ``grouped`` of ``dims`` are in parentheses.
    """

    dims: Sequence[Any]
    stride: Any = None
    count: Any = None
    copies: Any = None
    grouped: int = 0

    @property
    def times(self) -> Any:
        """The factor of a printed count: the number of copies."""
        return 1 if self.copies is None else self.copies


def size_mismatch(printed: Numbers, shape: Shape) -> Mismatch | None:
    """Return the difference of a printed size and a shape, or None.

    ``N``, ``1xN`` and ``1x1xN`` are equal.  Copies are devices that each have this number of
    channels, or maps that are joined.
    """
    dims = [*printed.dims[:-1], printed.dims[-1] * printed.times]
    if shape.agrees_with(dims):
        return None
    return Mismatch(f"{Shape(dims)} is printed, and {shape} derived")


def kernel_shown(op: Operator, inputs: Sequence[Shape], depth: str) -> str:
    """Return the kernel of an operator as a table prints it; see ``Document.depth``."""
    if isinstance(op, Concat):
        return "concat"
    if isinstance(op, Conv) and depth == "out":
        return f"{by(op.kernel)}x{op.count}/{op.stride_text}"
    return op.kernel_text(inputs) or "none"


def kernel_mismatch(
    printed: Numbers, op: Operator, inputs: Sequence[Shape], depth: str, devices: int
) -> Mismatch | None:
    """Return the difference of a printed kernel and an operator, or None."""
    wrong = [
        f"{quantity} is printed as {shown}, and is {derived}"
        for quantity, shown, derived in _pairs(printed, op, inputs, depth, devices)
        if same(shown, derived) is not True
    ]
    return Mismatch("; ".join(wrong)) if wrong else None


Pair = tuple[str, Any, Any]


def _pairs(
    printed: Numbers, op: Operator, inputs: Sequence[Shape], depth: str, devices: int
) -> Iterator[Pair]:
    """Yield each quantity with its printed and its derived value."""
    dims = printed.dims
    if not dims or isinstance(op, Concat):
        shown = "a join" if not dims else "x".join(map(str, dims))
        yield "the kernel", shown, "a join" if isinstance(op, Concat) else op.name
    elif isinstance(op, FullyConnected | RadialBasis):
        *rows, columns = dims
        yield "the number of inputs", prod(rows), inputs[0].elements
        yield "the number of outputs", columns * printed.times, op.shape(inputs).elements
        yield from _absent("the stride", printed.stride)
        yield from _absent("the number of filters", printed.count)
    elif isinstance(op, Conv):
        yield from _conv(printed, op, inputs, depth, devices)
    elif isinstance(op, WindowOperator | GlobalAveragePool | GlobalMaxPool):
        yield from _pool(printed, op, inputs, devices)
    else:
        yield "the kernel", "x".join(map(str, dims)), "none"


def _conv(
    printed: Numbers, op: Conv, inputs: Sequence[Shape], depth: str, devices: int
) -> Iterator[Pair]:
    dims, seen = printed.dims, op.channels_seen(inputs)
    bare = printed.stride is None and printed.count is None and not printed.grouped
    if bare and op.kernel == (1, 1) and len(dims) == 2 and list(dims) != [1, 1]:
        yield "the number of inputs", dims[0], seen  # 16x16: a 1x1 convolution as a matrix
        yield "the number of outputs", dims[1] * printed.times, op.count
        return
    inside = printed.grouped or (2 if depth == "out" else len(dims))
    yield from _size(dims[:inside], op.kernel, seen)
    filters = [*dims[inside:], *([] if printed.count is None else [printed.count])]
    for count in filters:
        yield "the number of filters", count * printed.times, op.count
    if not filters:
        yield from _devices(printed, devices)
    yield from _stride(printed, op)


def _pool(
    printed: Numbers,
    op: WindowOperator | GlobalAveragePool | GlobalMaxPool,
    inputs: Sequence[Shape],
    devices: int,
) -> Iterator[Pair]:
    dims, size = printed.dims, inputs[0][:2]
    if len(dims) > 2:
        dims = [*dims[:2], dims[2] * printed.times, *dims[3:]]
    else:
        yield from _devices(printed, devices)
    if isinstance(op, WindowOperator):
        size = op.kernel
        yield from _stride(printed, op)
    elif printed.stride is not None:
        yield "the stride", printed.stride, 1
    yield from _size(dims, size, inputs[0].channels)
    yield from _absent("the number of filters", printed.count)


def _size(dims: Sequence[Any], size: Sequence[Any], channels: int) -> Iterator[Pair]:
    yield "the height", dims[0], size[0]
    yield "the width", dims[1] if len(dims) > 1 else 1, size[1]
    if len(dims) > 2:
        yield "the number of channels", dims[2], channels
    for more in dims[3:]:
        yield from _absent("the fourth number", more)


def _stride(printed: Numbers, op: WindowOperator) -> Iterator[Pair]:
    if printed.stride is not None:
        down, right = op.stride
        yield "the stride", printed.stride, down if down == right else op.stride_text


def _devices(printed: Numbers, devices: int) -> Iterator[Pair]:
    if printed.copies is not None:
        yield "the number of devices", printed.copies, devices


def _absent(quantity: str, printed: Any) -> Iterator[Pair]:
    if printed is not None:
        yield quantity, printed, "none"
