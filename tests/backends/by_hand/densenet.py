"""Huang et al. 2017, Table 1: DenseNet-121 with a growth rate of 32."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand

GROWTH = 32


class Layer(nn.Module):
    def __init__(self, into: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(into)
        self.conv1 = nn.Conv2d(into, 4 * GROWTH, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * GROWTH)
        self.conv2 = nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))


class Dense(nn.Module):
    """Layers that see the input and all layers before; b1, b3, ... of the spec are identities."""

    def __init__(self, into: int, count: int) -> None:
        super().__init__()
        for i in range(count):
            self.add_module(f"b{2 * i + 2}", Layer(into + i * GROWTH))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Part(nn.Module):
    """A convolution and a norm, in either order in `forward` of the net."""

    def __init__(self, normed: int, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(normed)


class DenseNet121(ByHand):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Part(64, nn.Conv2d(3, 64, 7, 2, padding=3, bias=False))
        channels = 64
        for number, count in enumerate((6, 12, 24, 16), start=1):
            self.add_module(f"dense{number}", Dense(channels, count))
            channels += count * GROWTH
            if number < 4:
                conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
                self.add_module(f"conv{number}", Part(channels, conv))
                channels //= 2
        self.gap = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv.bn(self.conv.conv(x)))
        x = F.max_pool2d(x, 3, 2, padding=1)
        for number in range(1, 5):
            x = self.get_submodule(f"dense{number}")(x)
            if number < 4:
                transition = self.get_submodule(f"conv{number}")
                assert isinstance(transition, Part)
                x = F.avg_pool2d(transition.conv(F.relu(transition.bn(x))), 2)
        return F.softmax(self.fc(F.relu(self.gap(x)).mean((2, 3))), dim=1)
