"""Convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.attributes import COUNT, FLAG, KERNEL, PAIR, keyword, positional
from netspec.operator import Parameter, WindowOperator, channels_of_a_group, padded, symmetric
from netspec.shapes import Kernel, Pair, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Conv(WindowOperator):
    """Convolution: one filter an output channel, slid over the map.

    y[o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] x[c, i s + u d - p, j s + v d - p]

    with stride s, dilation d and zero padding p.  With ``groups`` = g the channels fall into g
    equal parts, and each filter sees the channels of its own part only, as on the two GPUs of
    AlexNet (section 3.2).  ``round=ceil`` lets the last window hang over the bottom and right
    edge, over zeros, as the author's cuda-convnet did.

    Parameters: weight [count, channels/groups, kh, kw], bias [count].
    """

    name = "conv"
    is_trained = True
    clips = False

    kernel: Kernel = positional(KERNEL, "height x width [x channels each filter sees][/stride]")
    count: int = positional(COUNT, "number of filters, the output's channels")
    dilation: Pair = keyword(PAIR, "distance between taps", default=(1, 1))
    groups: int = keyword(COUNT, "parts that the channels fall into", default=1)
    bias: bool = keyword(FLAG, "whether each filter adds a bias", default=True)

    @property
    def spacing(self) -> Pair:
        return self.dilation

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from super().mistakes()
        if self.count % self.groups:
            yield "NS132", "groups", f"{self.groups} groups do not divide {self.count} filters"

    def channels_seen(self, inputs: Sequence[Shape]) -> int:
        """Input channels that each filter sees."""
        return channels_of_a_group(inputs[0], self.groups)

    def channels_out(self, inputs: Sequence[Shape]) -> int:
        self.channels_seen(inputs)
        return self.count

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        seen = self.channels_seen(inputs)
        fan_in = seen * self.kernel.height * self.kernel.width
        held = {"weight": Parameter((self.count, seen, *self.kernel.size), fan_in)}
        return held | {"bias": Parameter((self.count,))} if self.bias else held

    def macs(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        return (*self.kernel.size, self.channels_seen(inputs), self.count, *self.shape(inputs)[:2])

    def neurons(self, inputs: Sequence[Shape]) -> int:
        return self.shape(inputs).elements

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return f"{self.count} filters" if axis == 2 else super().derivation(axis, inputs)

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        height, width = self.kernel.size
        return f"{height}x{width}x{self.channels_seen(inputs)}/{self.stride_text}, {self.count}"

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        windows = self.windows(inputs)
        padding = symmetric(windows)
        return F.conv2d(
            x[0] if padding else padded(x[0], windows),
            parameters["weight"],
            parameters.get("bias"),
            stride=self.steps,
            padding=padding or 0,
            dilation=self.dilation,
            groups=self.groups,
        )
