"""Ronneberger et al. 2015, Figure 1, with padding and batch normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand
from tests.backends.by_hand.convs import Conv, Convs, Style


class UNet(ByHand):
    def __init__(self, n: int = 32) -> None:
        super().__init__()
        into = 3
        for level, label in enumerate(("enc1", "enc2", "enc3", "enc4", "bottom")):
            self.add_module(label, two(into, n << level))
            into = n << level
        for level in (4, 3, 2, 1):
            count = n << (level - 1)
            self.add_module(f"up{level}", nn.ConvTranspose2d(2 * count, count, 2, stride=2))
            self.add_module(f"dec{level}", two(2 * count, count))
        self.mask = nn.Conv2d(n, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for level in range(1, 5):
            kept.append(self.get_submodule(f"enc{level}")(x))
            x = F.max_pool2d(kept[-1], 2)
        x = self.get_submodule("bottom")(x)
        for level in (4, 3, 2, 1):
            x = torch.cat([self.get_submodule(f"up{level}")(x), kept[level - 1]], dim=1)
            x = self.get_submodule(f"dec{level}")(x)
        return self.mask(x).sigmoid()


def two(into: int, count: int) -> Convs:
    return Convs(Style(), into, Conv(3, count), Conv(3, count))
