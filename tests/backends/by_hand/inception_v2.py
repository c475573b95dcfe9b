"""Batch-normalised Inception: Ioffe and Szegedy 2015, Figure 5, as its Caffe model builds it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from tests.backends.by_hand.common import pool_up
from tests.backends.by_hand.inception import (
    Branch,
    Conv,
    Rows,
    Style,
    average_with_padding,
    branch,
    square,
)


def max_in_place(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, padding=1)


def doubled(r: int, n: int, stride: int = 1) -> Branch:
    return branch(Conv(r), square(n, 3), Conv(n, 3, 3, stride))


class InceptionV2(Rows):
    def __init__(self) -> None:
        super().__init__(Style(eps=1e-5, bias=True))
        self.chain("conv1", Conv(64, 7, 7, 2))
        self.chain("pool1", pool=pool_up)
        self.chain("conv2", Conv(64), square(192, 3))
        self.chain("pool2", pool=pool_up)
        self.keep("3a", 64, (64, 64), (64, 96), 32)
        self.keep("3b", 64, (64, 96), (64, 96), 64)
        self.halve("3c", (128, 160), (64, 96))
        self.keep("4a", 224, (64, 96), (96, 128), 128)
        self.keep("4b", 192, (96, 128), (96, 128), 128)
        self.keep("4c", 160, (128, 160), (128, 160), 128)
        self.keep("4d", 96, (128, 192), (160, 192), 128)
        self.halve("4e", (128, 192), (192, 256))
        self.keep("5a", 352, (192, 320), (160, 224), 128)
        self.keep("5b", 352, (192, 320), (192, 224), 128, by_max=True)
        self.end()

    def keep(
        self,
        label: str,
        one: int,
        three: tuple[int, int],
        double: tuple[int, int],
        project: int,
        *,
        by_max: bool = False,
    ) -> None:
        self.side(
            label,
            branch(Conv(one)),
            branch(Conv(three[0]), square(three[1], 3)),
            doubled(*double),
            branch(Conv(project), pool=max_in_place if by_max else average_with_padding),
        )

    def halve(self, label: str, three: tuple[int, int], double: tuple[int, int]) -> None:
        self.side(
            label,
            branch(Conv(three[0]), Conv(three[1], 3, 3, 2)),
            doubled(*double, stride=2),
            branch(pool=pool_up),
        )
