"""Iandola et al. 2016, Table 1, and the authors' version 1.1."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand, pool_up


class Fire(nn.Module):
    def __init__(self, into: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(squeeze, into, 1, 1))
        self.bias = nn.Parameter(torch.empty(squeeze))
        self.b1 = nn.Conv2d(squeeze, expand, 1)
        self.b2 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.weight, self.bias))
        return F.relu(torch.cat([self.b1(x), self.b2(x)], dim=1))


class SqueezeNet(ByHand):
    def __init__(self, name: str) -> None:
        super().__init__()
        is_first = name == "squeezenet1_0"
        self.pooled = (4, 8) if is_first else (3, 5)
        into = 96 if is_first else 64
        self.conv1 = nn.Conv2d(3, into, 7 if is_first else 3, stride=2)
        for number in range(2, 10):
            squeeze = 16 * (number // 2)
            self.add_module(f"fire{number}", Fire(into, squeeze, 4 * squeeze))
            into = 8 * squeeze
        self.conv10 = nn.Conv2d(512, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = pool_up(F.relu(self.conv1(x)))
        for number in range(2, 10):
            x = self.get_submodule(f"fire{number}")(x)
            x = pool_up(x) if number in self.pooled else x
        return F.softmax(F.relu(self.conv10(x)).mean((2, 3)), dim=1)
