"""Sizes, receptive fields and the arithmetic of windows.

All operators that slide a window over a map (convolutions, pools, subsampling) use :func:`slide`,
so the rounding rules are defined once.  Sizes are in the order of papers: height x width x
channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from netspec.ir.reach import Reach, Span
from netspec.ir.symbols import by, is_symbolic, largest, same

Pair = tuple[int, int]
AXES = ("height", "width", "channels")

LARGEST_SIZE = 2**31 - 1
"""The largest window, stride, dilation and padded map along an axis."""


class ShapeError(Exception):
    """Sizes that an operator cannot be applied to; becomes a diagnostic at the operator's place.

    Args:
        code: of the diagnostic.
        message: the first line.
        help: how to fix it.
        label: printed under the caret.
        origins: (operand, axis) pairs: the sizes whose derivation explains the problem.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        help: str,
        label: str = "",
        origins: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.label = label
        self.help = help
        self.origins = tuple(origins)


class Shape(tuple[int, ...]):
    """The size of one image's activations: ``(height, width, channels)`` or ``(n,)``.

    There is no batch axis.  A shape prints as in papers: ``55x55x96``, ``4096``.
    """

    __slots__ = ()

    @property
    def is_map(self) -> bool:
        return len(self) == 3

    @property
    def channels(self) -> int:
        """The channels of a map, or the length of a vector."""
        return self[-1]

    @property
    def elements(self) -> int:
        return prod(self)

    @property
    def pixels(self) -> int:
        """The number of pixels of a map; 1 for a vector."""
        return prod(self[:-1])

    @property
    def torch(self) -> tuple[int, ...]:
        """The size in PyTorch's order: ``(channels, height, width)`` or ``(n,)``."""
        return (self[2], self[0], self[1]) if self.is_map else tuple(self)

    def agrees_with(self, printed: Sequence[int]) -> bool:
        """Return True if a printed size is this size; ``N``, ``1xN`` and ``1x1xN`` are equal."""
        return self.agreement(printed) is True

    def agreement(self, printed: Sequence[int]) -> bool | None:
        """Return the same as :meth:`agrees_with`, but None if it depends on symbols."""
        ours, theirs = _drop_leading_ones(self), _drop_leading_ones(printed)
        if len(ours) != len(theirs):
            return False
        equal = list(map(same, ours, theirs))
        return False if False in equal else None if None in equal else True

    def __str__(self) -> str:
        return by(self)

    def __repr__(self) -> str:
        return f"Shape({self})"


def _drop_leading_ones(dims: Sequence[int]) -> tuple[int, ...]:
    return tuple(dims[-1:] if all(d == 1 for d in dims[:-1]) else dims)


class Kernel(NamedTuple):
    """A kernel as papers print it: ``KHxKW[xCIN][/STRIDE]``."""

    height: int
    width: int
    channels: int | None = None
    stride: int | None = None

    @property
    def size(self) -> Pair:
        return (self.height, self.width)

    def __str__(self) -> str:
        channels = "" if self.channels is None else f"x{self.channels}"
        stride = "" if self.stride is None else f"/{self.stride}"
        return f"{self.height}x{self.width}{channels}{stride}"


@dataclass(frozen=True, slots=True)
class Window:
    """A window of ``kernel`` taps that slides along one axis of ``size_in`` positions.

    ``before`` and ``after`` are the padding; ``overhang`` is the number of positions by which the
    last window extends beyond it, which only ``round=ceil`` allows.
    """

    size_in: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    size_out: int
    formula: str

    @property
    def extent(self) -> int:
        """The positions from the first tap to the last: ``dilation (kernel - 1) + 1``."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def tail(self) -> int:
        """The positions of the last window after the input's end: padding, then overhang."""
        reach = (self.size_out - 1) * self.stride + self.extent
        return largest(0, reach - self.before - self.size_in)

    @property
    def overhang(self) -> int:
        """The positions of the tail after the padding."""
        return largest(0, self.tail - self.after)

    @property
    def reach(self) -> Reach:
        """Return the positions of the input that outputs depend on."""
        return Reach(((-self.before, self.extent - 1 - self.before),), self.stride)

    def starts(self) -> range:
        """Return the first position of each window; the input's first position is 0."""
        return range(-self.before, -self.before + self.size_out * self.stride, self.stride)

    def sees_input(self, start: int) -> bool:
        first_tap = max(0, -(start // self.dilation))
        last_tap = min(self.kernel - 1, (self.size_in - 1 - start) // self.dilation)
        return first_tap <= last_tap


@lru_cache(maxsize=4096)
def slide(
    axis: int,
    size_in: int,
    kernel: int,
    *,
    stride: int,
    dilation: int,
    padding: Pair | str,
    rounding: str,
    clip: bool,
) -> Window:
    """Return the window along one axis.

    floor:  out = floor((in + before + after - extent) / stride) + 1
    ceil:   out = ceil((in + before + after - extent) / stride) + 1

    with extent = dilation (kernel - 1) + 1.

    Args:
        axis: 0 for height, 1 for width; for messages.
        size_in: the positions of the input.
        kernel: the number of taps.
        stride: positions from one window to the next.
        dilation: positions from one tap to the next.
        padding: (before, after), ``"half"``: (extent - 1) / 2 on each side, or ``"same"``:
            TensorFlow's rule, out = ceil(in / stride), an odd total has one more after.
        rounding: ``"floor"`` or ``"ceil"``.
        clip: drop, with ``ceil``, a last window that would start after input + left padding, as
            PyTorch's pools do.  Without it the last window extends over zeros (cuda-convnet2).

    Raises:
        ShapeError: the window is larger than the padded input, a window sees no input, a size
            needs more than 32 bits, or ``"half"`` is used with an even extent.
    """
    extent = dilation * (kernel - 1) + 1
    before, after = _padding(axis, size_in, extent, stride, padding)
    sizes = {"window": extent, "stride": stride, "dilation": dilation}
    require_32_bits(axis, sizes | {"padded map": size_in + before + after})
    padded = f"{size_in}" + (f"+{before + after}" if before + after else "") + f"-{extent}"
    span = size_in + before + after - extent
    if not is_symbolic(span) and span < 0:
        room = f"{size_in} + {before + after} of padding" if before + after else f"{size_in}"
        raise ShapeError(
            "NS201",
            f"the window is larger than its input in {AXES[axis]}: {extent} and {room}",
            help="use a smaller kernel, pad the input, or shrink the map less before this stage",
            origins=[(0, axis)],
        )
    if padding == "same":  # with ceil, a remainder of the input could add a window to in / stride
        rounding = "floor"
    steps = ceiling(span, stride) if rounding == "ceil" else span // stride
    # Expressions of symbols are compared by their form, so the two results below are computed
    # directly, without the maximum of "same" and the condition of ``clip``.
    is_known = not is_symbolic(size_in)
    if not is_known and padding == "same":
        steps = ceiling(size_in, stride) - 1
    if not is_known and clip and rounding == "ceil" and stride + after > extent:
        steps = ceiling(size_in + before, stride) - 1
    size_out = steps + 1
    formula = f"{rounding}(({padded})/{stride}) + 1" if stride > 1 else f"{padded} + 1"
    if clip and rounding == "ceil" and is_known and steps * stride >= size_in + before:
        size_out -= 1
        formula += ", less a window that would start outside"
    window = Window(size_in, kernel, stride, dilation, before, after, size_out, formula)
    if is_known:
        _refuse_blind_windows(axis, window)
    return window


def require_32_bits(axis: int, sizes: Mapping[str, int]) -> None:
    """Raise ShapeError if a size along an axis, by its name, is 2**31 or more.

    PyTorch and oneDNN cut off the higher bits of strides, dilations and padding: results would be
    wrong, or the process would crash.
    """
    for name, size in sizes.items():
        if not is_symbolic(size) and size > LARGEST_SIZE:
            raise ShapeError(
                "NS007",
                f"the {name} is too large in {AXES[axis]}: {size}",
                help="windows, strides, dilations and padded maps must be below 2**31 in each axis",
                origins=[(0, axis)],
            )


def _padding(axis: int, size_in: int, extent: int, stride: int, padding: Pair | str) -> Pair:
    if padding == "half":
        if extent % 2 == 0:
            raise ShapeError(
                "NS203",
                f"pad=half needs an odd kernel, and this one is {extent} in {AXES[axis]}",
                help="use pad=same, or write the four sides: pad=(top, bottom, left, right)",
            )
        return extent // 2, extent // 2
    if padding == "same":
        total = largest((ceiling(size_in, stride) - 1) * stride + extent - size_in, 0)
        return total // 2, total - total // 2
    assert isinstance(padding, tuple)
    return padding


def ceiling(value: int, divisor: int) -> int:
    """Return a quotient rounded up, in the form in which symbols are compared: (H + 1)//2."""
    return (value + divisor - 1) // divisor


def rounded_up(size: int, multiple: int) -> int:
    """Return the smallest multiple of ``multiple`` that is not less than ``size``."""
    return ceiling(size, multiple) * multiple


def _refuse_blind_windows(axis: int, window: Window) -> None:
    starts = window.starts()
    # If taps are at most one input apart, a window over the input cannot miss it: it is enough to
    # check the first and the last window.
    candidates = starts[:100_000] if window.dilation > window.size_in else (starts[0], starts[-1])
    blind = next((start for start in candidates if not window.sees_input(start)), None)
    if blind is not None:
        number = (blind + window.before) // window.stride + 1
        raise ShapeError(
            "NS202",
            f"window {number} of {window.size_out} sees no input in {AXES[axis]}: "
            f"it starts at {blind}, and the input is {window.size_in}",
            help="use less padding, a smaller stride or dilation, or round=floor",
            origins=[(0, axis)],
        )


@dataclass(frozen=True, slots=True)
class Field:
    """The receptive field of a stage's outputs, in input pixels, as (height, width) pairs.

    Attributes:
        size: the largest number of pixels, from the first to the last, that one output depends on.
        start: the first pixel of the first output; negative if it is in the padding.
        stride: pixels from one output to the next, on average; a fraction after upsampling.
        spans: after upsampling, the pixels of neighbouring outputs (:class:`Reach`), else empty.

    It is not clipped to the input.
    """

    size: Pair = (1, 1)
    start: Pair = (0, 0)
    stride: Pair = (1, 1)
    spans: tuple[tuple[Span, ...], tuple[Span, ...]] = ((), ())

    @property
    def reaches(self) -> tuple[Reach, Reach]:
        """Return the pixels that outputs depend on, along the height and the width."""
        vertical, horizontal = (
            Reach.of(spans or ((start, start + size - 1),), stride)
            for size, start, stride, spans in zip(
                self.size, self.start, self.stride, self.spans, strict=True
            )
        )
        return vertical, horizontal

    @staticmethod
    def of(reaches: Iterable[Reach]) -> Field:
        """Return the field with these reaches, along the height and the width."""
        down, right = reaches
        return Field(
            size=(down.size, right.size),
            start=(down.start, right.start),
            stride=(down.stride, right.stride),
            spans=(down.uneven, right.uneven),
        )

    def through(self, reaches: Iterable[Reach]) -> Field:
        """Return the field of an operator's outputs, if ``self`` is the field of its operand.

        Args:
            reaches: positions of the operand, along the height and the width, that outputs
                depend on.
        """
        return Field.of(
            inner.through(outer) for inner, outer in zip(self.reaches, reaches, strict=True)
        )

    def over(self, shape: Shape) -> Field:
        """Return the field of an output that depends on every position of a map."""
        if not shape.is_map:
            return self
        return Field.of(reach.over(n) for reach, n in zip(self.reaches, shape[:2], strict=True))

    @staticmethod
    def union(fields: Sequence[Field]) -> Field:
        """Return the smallest field that covers all ``fields``: that of a concat or an add."""
        if len(fields) == 1:
            return fields[0]
        return Field.of(map(Reach.union, zip(*(field.reaches for field in fields), strict=True)))

    def __str__(self) -> str:
        height, width = self.size
        return str(height) if height == width else by(self.size)
