"""Inception v4: Szegedy et al. 2016, Figures 3 to 9."""

from __future__ import annotations

from tests.backends.by_hand.inception import (
    Conv,
    Rows,
    Style,
    average_without_padding,
    branch,
    max_pool,
    square,
    valid,
)


class InceptionV4(Rows):
    def __init__(self) -> None:
        super().__init__(Style(eps=1e-3, bias=False))
        self.stem()
        for label in ("5b", "5c", "5d", "5e"):
            self.module_a(label)
        self.side(
            "6a",
            branch(valid(384, 3, 2)),
            branch(Conv(192), square(224, 3), valid(256, 3, 2)),
            branch(pool=max_pool),
        )
        for label in ("6b", "6c", "6d", "6e", "6f", "6g", "6h"):
            self.module_b(label)
        self.side(
            "7a",
            branch(Conv(192), valid(192, 3, 2)),
            branch(Conv(256), Conv(256, 1, 7), Conv(320, 7, 1), valid(320, 3, 2)),
            branch(pool=max_pool),
        )
        for label in ("7b", "7c", "7d"):
            self.module_c(label)
        self.end()

    def stem(self) -> None:
        self.chain("conv1", valid(32, 3, 2))
        self.chain("conv2", valid(32, 3))
        self.chain("conv3", square(64, 3))
        self.side("3a", branch(pool=max_pool), branch(valid(96, 3, 2)))
        self.side(
            "4a",
            branch(Conv(64), valid(96, 3)),
            branch(Conv(64), Conv(64, 1, 7), Conv(64, 7, 1), valid(96, 3)),
        )
        self.side("5a", branch(valid(192, 3, 2)), branch(pool=max_pool))

    def module_a(self, label: str) -> None:
        self.side(
            label,
            branch(Conv(96)),
            branch(Conv(64), square(96, 3)),
            branch(Conv(64), square(96, 3), square(96, 3)),
            branch(Conv(96), pool=average_without_padding),
        )

    def module_b(self, label: str) -> None:
        ups = Conv(192, 7, 1), Conv(224, 1, 7), Conv(224, 7, 1), Conv(256, 1, 7)
        self.side(
            label,
            branch(Conv(384)),
            branch(Conv(192), Conv(224, 1, 7), Conv(256, 7, 1)),
            branch(Conv(192), *ups),
            branch(Conv(128), pool=average_without_padding),
        )

    def module_c(self, label: str) -> None:
        fork = Conv(256, 1, 3), Conv(256, 3, 1)
        self.side(
            label,
            branch(Conv(256)),
            branch(Conv(384), fork=fork),
            branch(Conv(384), Conv(448, 3, 1), Conv(512, 1, 3), fork=fork),
            branch(Conv(256), pool=average_without_padding),
        )
