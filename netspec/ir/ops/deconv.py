"""Transposed convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, prod
from typing import TYPE_CHECKING, Any

from netspec.ir.attributes import COUNT, EXTRA, FLAG, KERNEL, PAIR, SIDES, keyword, positional
from netspec.ir.growth import Growth, weighted
from netspec.ir.operator import Operator, Parameter, channels_of_a_group, map_of
from netspec.ir.reach import MOST_SPANS, Reach, Span
from netspec.ir.shapes import AXES, Field, Kernel, Pair, Shape, ShapeError, require_32_bits
from netspec.ir.symbols import by, divides, is_symbolic

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Deconv(Operator):
    """Transposed convolution, with which a net upsamples by trained weights.

    y[o, i, j] = b[o] + sum of w[c, o, u, v] x[c, m, n] over c and all u, v, m, n with
    i = m s + u d - p, j = n s + v d - p

    with stride s, dilation d and padding p: each value of the input adds its multiple of the kernel
    to the output, at steps of s, and the padding is cut off the edges.  It is the gradient of a
    convolution with the same kernel, stride, dilation and padding (Dumoulin and Visin 2016,
    section 4).

    out = (in - 1) s - (padding on both sides) + d (kernel - 1) + 1 + output_pad

    ``output_pad`` adds outputs at the bottom and the right.  A convolution with stride s makes the
    same size from s different sizes; output_pad, which is less than s, says which one this is.
    ``groups`` divides the channels of input and output into equal parts.

    Parameters: weight [channels, count/groups, kh, kw], the layout of PyTorch's ConvTranspose2d,
    and bias [count].  There is one multiply-accumulate for each value of the input and each weight
    that it meets, also where the padding cuts off the product.
    """

    name = "deconv"
    example = "deconv 3x2, 4, stride=2x1, dilation=1x2, pad=(1, 0, 0, 1), output_pad=1x0"
    is_trained = True

    kernel: Pair = positional(KERNEL, "height x width [/stride]")
    count: int = positional(COUNT, "number of filters, the output's channels")
    stride: Pair = keyword(
        PAIR, "outputs from one input to the next, unless written in KERNEL", default=(1, 1)
    )
    pad: tuple[int, int, int, int] = keyword(
        SIDES, "outputs cut off at the edges", default=(0, 0, 0, 0)
    )
    dilation: Pair = keyword(PAIR, "distance between taps", default=(1, 1))
    output_pad: Pair = keyword(EXTRA, "outputs added at the bottom and the right", default=(0, 0))
    groups: int = keyword(COUNT, "number of equal parts of the channels", default=1)
    bias: bool = keyword(FLAG, "whether each filter adds a bias", default=True)

    def __post_init__(self) -> None:
        if isinstance(self.kernel, Kernel):
            kernel = self.kernel
            object.__setattr__(self, "kernel", kernel.size)
            if kernel.stride is not None:
                object.__setattr__(self, "stride", (kernel.stride, kernel.stride))
        apart = zip(self.dilation, self.kernel, strict=True)
        dilation = tuple(d if taps > 1 else 1 for d, taps in apart)
        object.__setattr__(self, "dilation", dilation)  # a single tap has no distance to another

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if divides(self.groups, self.count) is False:
            yield "NS132", "groups", f"{self.groups} groups do not divide {self.count} filters"
        if any(extra >= step for extra, step in zip(self.output_pad, self.stride, strict=True)):
            reason = f"it must be less than the stride, {by(self.stride)}"
            yield "NS132", "output_pad", reason

    @classmethod
    def written_mistakes(cls, written: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        kernel: Kernel = written["kernel"]
        if kernel.stride is not None and "stride" in written:
            yield "NS136", "stride", f"the kernel {kernel} already has a stride"
        if kernel.channels is not None:
            reason = f"deconv sees all channels of a group: leave out x{kernel.channels}"
            yield "NS132", "kernel", reason

    def channels_seen(self, inputs: Sequence[Shape]) -> int:
        """Return the input channels per filter; raise ShapeError if groups do not divide them."""
        return channels_of_a_group(map_of(self, inputs), self.groups)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        self.channels_seen(inputs)
        size = [self._size_out(axis, inputs) for axis in (0, 1)]
        for axis in (0, 1):
            sizes = {"stride": self.stride[axis], "dilation": self.dilation[axis]}
            sizes |= {"output with padding": self._size_whole(axis, inputs)}
            require_32_bits(axis, sizes)
            if not is_symbolic(size[axis]) and size[axis] < 1:
                raise ShapeError(
                    "NS211",
                    f"the padding cuts off the whole output in {AXES[axis]}: "
                    f"{self.derivation(axis, inputs)} = {size[axis]}",
                    help="use less padding, or a larger kernel or stride",
                    origins=[(0, axis)],
                )
        return Shape((*size, self.count))

    def _size_out(self, axis: int, inputs: Sequence[Shape]) -> int:
        before, after = self.pad[2 * axis :][:2]
        return self._size_whole(axis, inputs) - before - after + self.output_pad[axis]

    def _size_whole(self, axis: int, inputs: Sequence[Shape]) -> int:
        """Return the number of outputs before the padding is cut off."""
        return (inputs[0][axis] - 1) * self.stride[axis] + self._extent(axis)

    def _extent(self, axis: int) -> int:
        """Return the outputs from the first tap of the kernel to the last."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].through(self._reach(axis) for axis in (0, 1))

    def _reach(self, axis: int) -> Reach:
        """Return the inputs m of output i: those with i + p - m s = u d for a tap u."""
        step, before, apart = self.stride[axis], self.pad[2 * axis], self.dilation[axis]
        if step > MOST_SPANS:  # a bound: m is between these two for output 0
            ends = (before - self._extent(axis) + 1, before)
            return Reach(((Fraction(ends[0], step), Fraction(ends[1], step)),), Fraction(1, step))
        return Reach(tuple(self._inputs(i + before, step, apart, axis) for i in range(step)), 1)

    def _inputs(self, place: int, step: int, apart: int, axis: int) -> Span:
        """Return the first and the last input m with place - m step = u apart for a tap u."""
        shared = gcd(step, apart)
        turn = step // shared  # taps u and u + turn are over inputs that differ by apart / shared
        first_tap = place // shared * pow(apart // shared, -1, turn) % turn
        if place % shared or first_tap >= self.kernel[axis]:
            # Such outputs are the bias alone.  They count as outputs that depend on the input
            # before them, so that the size is that of the others.
            return place // step, place // step
        last_tap = self.kernel[axis] - 1 - (self.kernel[axis] - 1 - first_tap) % turn
        return (place - last_tap * apart) // step, (place - first_tap * apart) // step

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        channels, seen = inputs[0].channels, self.channels_seen(inputs)
        fan_in = max(1, seen * prod(self.kernel) // prod(self.stride))
        size = (channels, self.count // self.groups, *self.kernel)
        weight = {"weight": Parameter(size, fan_in)}
        return weight | {"bias": Parameter((self.count,))} if self.bias else weight

    def macs(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        return (*self.kernel, self.channels_seen(inputs), self.count, *inputs[0][:2])

    def neurons(self, inputs: Sequence[Shape]) -> int:
        return self.shape(inputs).elements

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        if axis == 2:
            return f"{self.count} filters"
        cut, extra = sum(self.pad[2 * axis :][:2]), self.output_pad[axis]
        text = f"({inputs[0][axis]}-1)*{self.stride[axis]}"
        return text + (f"-{cut}" if cut else "") + f" + {self._extent(axis) + extra}"

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        kernel = by((*self.kernel, self.channels_seen(inputs)))
        return f"{kernel}/{self.stride_text}, {self.count}"

    @property
    def stride_text(self) -> str:
        down, right = self.stride
        return str(down) if down == right else by(self.stride)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        weight, seen = parameters["weight"], self.channels_seen(inputs)
        by_filter = weight.reshape(self.groups, seen, -1, prod(self.kernel)).transpose(1, 2)
        rows = by_filter.reshape(self.count, -1)
        return weighted(rows, parameters.get("bias"), seen * prod(self.kernel))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        top, bottom, left, right = self.pad
        padding = min(top, bottom), min(left, right)
        # PyTorch cuts the same number off both sides; the difference is cut off its result.
        y = F.conv_transpose2d(
            x[0],
            parameters["weight"],
            parameters.get("bias"),
            stride=self.stride,
            padding=padding,
            output_padding=self.output_pad,
            dilation=self.dilation,
            groups=self.groups,
        )
        height, width, _ = self.shape(inputs)
        return y.narrow(2, top - padding[0], height).narrow(3, left - padding[1], width)
