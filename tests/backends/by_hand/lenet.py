"""LeCun, Bottou, Bengio, Haffner 1998."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand

# Table I of the paper: column by column, the maps of S2 that each map of C3 is connected to.
TABLE_I = (
    *([0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]),
    *([0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]),
    *([0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]),
    [0, 1, 2, 3, 4, 5],
)


class Subsample(nn.Module):
    def __init__(self, channels: int, divisor: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.divisor = divisor

    def forward(self, x: Tensor) -> Tensor:
        total = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
        scaled = self.coefficient[:, None, None] * total / self.divisor
        return scaled + self.bias[:, None, None]


class C3(nn.Module):
    """Sixteen maps, each over the maps of its column only."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(len(column), 1, 5) for column in TABLE_I)

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.maps, TABLE_I, strict=True)
        return torch.cat([conv(x[:, column]) for conv, column in pairs], dim=1)


class LeNet(ByHand):
    """What both forms share; ``divisor`` is 4 where subsampling takes the mean."""

    def __init__(self, divisor: int) -> None:
        super().__init__()
        self.C1 = nn.Conv2d(1, 6, 5)
        self.S2 = Subsample(6, divisor)
        self.C3 = C3()
        self.S4 = Subsample(16, divisor)
        self.C5 = nn.Conv2d(16, 120, 5)
        self.F6 = nn.Linear(120, 84)

    def squash(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def features(self, x: Tensor) -> Tensor:
        x = self.squash(self.S2(self.C1(x)))
        x = self.squash(self.S4(self.C3(x)))
        return self.squash(self.F6(self.squash(self.C5(x)).flatten(1)))

    def canonical(self) -> dict[str, Tensor]:
        """C3's kernels one behind another: by its own map, then by the map they look at."""
        tensors = {n: t for n, t in super().canonical().items() if not n.startswith("C3.")}
        kernels = [kernel for conv in self.C3.maps for kernel in conv.weight.detach()[0]]
        tensors["C3.weight"] = torch.stack(kernels)
        tensors["C3.bias"] = torch.cat([conv.bias.detach() for conv in self.C3.maps])
        return tensors


class LeNet5(LeNet):
    """The survey's table: means, tanh, and ten probabilities."""

    def __init__(self) -> None:
        super().__init__(divisor=4)
        self.out = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.out(self.features(x)), dim=1)


class LeNet5RBF(LeNet):
    """The paper: sums, 1.7159 tanh(2x/3), and distances from ten codes of -1 and 1, [10, 84]."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__(divisor=1)
        self.codes = codes

    def squash(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 * x / 3)

    def forward(self, x: Tensor) -> Tensor:
        x, codes = self.features(x), self.codes.to(x)
        return torch.stack([((x - code) ** 2).sum(dim=1) for code in codes], dim=1)
