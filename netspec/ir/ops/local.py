"""Locally connected layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from netspec.ir.operator import Parameter, padded
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Local(Conv):
    """Locally connected layer: a convolution in which every output has its own weights and bias.

    y[o, i, j] = b[o, i, j] + sum over c, u, v of w[o, c, u, v, i, j] x[c, i s + u d - p, ...]

    In the AlexNet paper's CIFAR-10 net (section 3.3), the last two layers before the classifier
    are of this kind (cuda-convnet's ``local`` layer).

    Parameters: weight [count, channels/groups, kh, kw, oh, ow], bias [count, oh, ow].
    """

    name = "local"
    example = "local 3x2, 4, stride=2x1, pad=(1, 0, 0, 1), round=ceil"

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from super().mistakes()
        if self.connect is not None:
            yield "NS136", "connect", "a local layer sees every input map"

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        places = self.shape(inputs)[:2]
        return {
            name: Parameter((*p.shape, *places), p.fan_in)
            for name, p in super().parameters(inputs).items()
        }

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch
        import torch.nn.functional as F

        seen, (height, width) = self.channels_seen(inputs), self.shape(inputs)[:2]
        taps, places = prod(self.kernel), height * width
        patches = F.unfold(
            padded(x[0], self.windows(inputs)),
            kernel_size=self.kernel,
            dilation=self.dilation,
            stride=self.stride,
        )
        # n image, g group, o filter of the group, k tap of a channel, p place
        y = torch.einsum(
            "ngkp,gokp->ngop",
            patches.reshape(-1, self.groups, seen * taps, places),
            parameters["weight"].reshape(self.groups, -1, seen * taps, places),
        ).reshape(-1, self.count, height, width)
        return y + parameters["bias"] if self.bias else y
