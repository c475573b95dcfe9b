"""Zeiler and Fergus 2013, Figure 3."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand, lcn, pool_up


class ZFNet(ByHand):
    """``kernel`` and ``sigma`` are those of the contrast normalisation."""

    def __init__(self, kernel: int, sigma: float) -> None:
        super().__init__()
        self.window = kernel, sigma
        self.C1 = nn.Conv2d(3, 96, 7, stride=2)
        self.C2 = nn.Conv2d(96, 256, 5, stride=2)
        self.C3 = nn.Conv2d(256, 384, 3, padding=1)
        self.C4 = nn.Conv2d(384, 384, 3, padding=1)
        self.C5 = nn.Conv2d(384, 256, 3, padding=1)
        self.F6 = nn.Linear(9216, 4096)
        self.F7 = nn.Linear(4096, 4096)
        self.F8 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.C1(F.pad(x, (0, 1, 0, 1))))  # 110, rounded up
        x = lcn(pool_up(x), *self.window)
        x = lcn(pool_up(F.relu(self.C2(x))), *self.window)
        x = F.relu(self.C4(F.relu(self.C3(x))))
        x = pool_up(F.relu(self.C5(x))).flatten(1)
        return F.softmax(self.F8(F.relu(self.F7(F.relu(self.F6(x))))), dim=1)
