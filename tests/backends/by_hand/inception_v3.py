"""Inception v3: Szegedy et al. 2015, as its published weights are built."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.inception import (
    Chain,
    Conv,
    Pool,
    Rows,
    Style,
    average_with_padding,
    branch,
    max_pool,
    square,
    valid,
)

STYLE = Style(eps=1e-3, bias=False)


class Auxiliary(Chain):
    def __init__(self, into: int) -> None:
        super().__init__(STYLE, into, branch(Conv(128), valid(768, 5)))
        self.fc = nn.Linear(768, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(F.avg_pool2d(x, 5, 3))
        return F.softmax(self.fc(x.mean((2, 3))), dim=1)


class InceptionV3(Rows):
    heads = ("aux",)

    def __init__(self, average: Pool = average_with_padding) -> None:
        super().__init__(STYLE)
        self.average = average
        self.chain("conv1", valid(32, 3, 2))
        self.chain("conv2", valid(32, 3))
        self.chain("conv3", square(64, 3))
        self.chain("pool1", pool=max_pool)
        self.chain("conv4", Conv(80))
        self.chain("conv5", valid(192, 3))
        self.chain("pool2", pool=max_pool)
        self.five("5b", 32)
        self.five("5c", 64)
        self.five("5d", 64)
        self.side(
            "6a",
            branch(valid(384, 3, 2)),
            branch(Conv(64), square(96, 3), valid(96, 3, 2)),
            branch(pool=max_pool),
        )
        self.seven("6b", 128)
        self.seven("6c", 160)
        self.seven("6d", 160)
        self.seven("6e", 192)
        self.aux = Auxiliary(self.gives)
        self.side(
            "7a",
            branch(Conv(192), valid(320, 3, 2)),
            branch(Conv(192), Conv(192, 1, 7), Conv(192, 7, 1), valid(192, 3, 2)),
            branch(pool=max_pool),
        )
        self.forked("7b")
        self.forked("7c")
        self.end()

    def five(self, label: str, project: int) -> None:
        self.side(
            label,
            branch(Conv(64)),
            branch(Conv(48), square(64, 5)),
            branch(Conv(64), square(96, 3), square(96, 3)),
            branch(Conv(project), pool=self.average),
        )

    def seven(self, label: str, n: int) -> None:
        across, down = Conv(n, 1, 7), Conv(n, 7, 1)
        self.side(
            label,
            branch(Conv(192)),
            branch(Conv(n), across, Conv(192, 7, 1)),
            branch(Conv(n), down, across, down, Conv(192, 1, 7)),
            branch(Conv(192), pool=self.average),
        )

    def forked(self, label: str) -> None:
        fork = Conv(384, 1, 3), Conv(384, 3, 1)
        self.side(
            label,
            branch(Conv(320)),
            branch(Conv(384), fork=fork),
            branch(Conv(448), square(384, 3), fork=fork),
            branch(Conv(192), pool=self.average),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.through(x, last="6e")
        return self.classified(self.through(x, first="7a")), self.aux(x)
