"""GoogLeNet with batch normalisation, as torchvision builds it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import pool_up
from tests.backends.by_hand.inception import Chain, Conv, Rows, Style, branch, square

STYLE = Style(eps=1e-3, bias=False)


def max_in_place(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, padding=1)


class Auxiliary(Chain):
    def __init__(self, into: int) -> None:
        super().__init__(STYLE, into, branch(Conv(128)))
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        return F.softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


class GoogLeNetBN(Rows):
    heads = ("aux1", "aux2")

    def __init__(self) -> None:
        super().__init__(STYLE)
        self.chain("conv1", square(64, 7)._replace(stride=2))
        self.chain("pool1", pool=pool_up)
        self.chain("conv2", Conv(64))
        self.chain("conv3", square(192, 3))
        self.chain("pool2", pool=pool_up)
        self.inception("3a", 64, 96, 128, 16, 32, 32)
        self.inception("3b", 128, 128, 192, 32, 96, 64)
        self.chain("pool3", pool=pool_up)
        self.inception("4a", 192, 96, 208, 16, 48, 64)
        self.aux1 = Auxiliary(self.gives)
        self.inception("4b", 160, 112, 224, 24, 64, 64)
        self.inception("4c", 128, 128, 256, 24, 64, 64)
        self.inception("4d", 112, 144, 288, 32, 64, 64)
        self.aux2 = Auxiliary(self.gives)
        self.inception("4e", 256, 160, 320, 32, 128, 128)
        self.chain("pool4", pool=lambda x: F.max_pool2d(x, 2, 2))
        self.inception("5a", 256, 160, 320, 32, 128, 128)
        self.inception("5b", 384, 192, 384, 48, 128, 128)
        self.end()

    def inception(self, label: str, n1: int, r3: int, n3: int, r5: int, n5: int, np: int) -> None:
        self.side(
            label,
            branch(Conv(n1)),
            branch(Conv(r3), square(n3, 3)),
            branch(Conv(r5), square(n5, 3)),  # not 5x5: github.com/pytorch/vision/issues/906
            branch(Conv(np), pool=max_in_place),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        first = self.through(x, last="4a")
        second = self.through(first, first="4b", last="4d")
        x = self.through(second, first="4e")
        return self.classified(x), self.aux1(first), self.aux2(second)
