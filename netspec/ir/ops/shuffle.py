"""Channel shuffle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import COUNT, positional
from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator, channels_of_a_group, map_of
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Shuffle(Operator):
    """Channel shuffle: takes one channel of each group in turn (ShuffleNet, section 3.1).

    y[k g + i] = x[i C/g + k]

    for C channels in g groups, group i and channel k of a group.  The channels of a map with 2
    groups of 3 channels become 0, 3, 1, 4, 2, 5.  A grouped convolution after it sees channels of
    all groups before it (Zhang et al. 2018).
    """

    name = "shuffle"
    example = "shuffle 3"

    groups: int = positional(COUNT, "number of equal parts of the channels")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        shape = map_of(self, inputs)
        channels_of_a_group(shape, self.groups)
        return shape

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        from torch import nn

        return nn.ChannelShuffle(self.groups)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        height, width, channels = inputs[0]
        groups = x[0].reshape(-1, self.groups, channels // self.groups, height, width)
        return groups.transpose(1, 2).reshape(-1, channels, height, width)
