"""One Inception module by hand: the survey's, and the one without reductions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand


class InceptionModule(ByHand):
    """Four branches of as many channels each, as the survey's table should read."""

    def __init__(self, before: int, count: int) -> None:
        super().__init__()
        self.C11 = nn.Conv2d(before, count, 1)
        self.C21 = nn.Conv2d(before, count, 1)
        self.C22 = nn.Conv2d(count, count, 3, padding=1)
        self.C31 = nn.Conv2d(before, count, 1)
        self.C32 = nn.Conv2d(count, count, 5, padding=2)
        self.C42 = nn.Conv2d(before, count, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = F.relu(self.C11(x))
        three = F.relu(self.C22(F.relu(self.C21(x))))
        five = F.relu(self.C32(F.relu(self.C31(x))))
        pooled = F.relu(self.C42(F.max_pool2d(x, 3, stride=1, padding=1)))
        return torch.cat([one, three, five, pooled], dim=1)


class NaiveModule(ByHand):
    """Without reductions: the pool hands on all that comes in."""

    def __init__(self, before: int, count: int) -> None:
        super().__init__()
        self.C11 = nn.Conv2d(before, count, 1)
        self.C21 = nn.Conv2d(before, count, 3, padding=1)
        self.C31 = nn.Conv2d(before, count, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        convolved = [F.relu(conv(x)) for conv in (self.C11, self.C21, self.C31)]
        return torch.cat([*convolved, F.max_pool2d(x, 3, stride=1, padding=1)], dim=1)
