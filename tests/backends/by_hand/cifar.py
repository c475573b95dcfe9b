"""The CIFAR-10 net of Krizhevsky et al. 2012, section 3.3, footnote: cuda-convnet's layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand, lrn, pool_up


class Local(nn.Module):
    """A 3 x 3 convolution with padding 1 whose every place has weights of its own."""

    def __init__(self, into: int, count: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, into, 3, 3, size, size))
        self.bias = nn.Parameter(torch.zeros(count, size, size))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = F.pad(x, (1, 1, 1, 1))
        rows = []
        for i in range(height):
            row = []
            for j in range(width):
                seen = x[:, :, i : i + 3, j : j + 3].flatten(1)
                row.append(F.linear(seen, self.weight[..., i, j].flatten(1), self.bias[:, i, j]))
            rows.append(torch.stack(row, dim=2))
        return torch.stack(rows, dim=2)


class Cifar4(ByHand):
    """``overlap`` is the paper's pool of 3 x 3, stride 2; without it 2 x 2, stride 2."""

    def __init__(
        self,
        act: Callable[[Tensor], Tensor] = torch.relu,
        *,
        norm: bool = True,
        overlap: bool = True,
    ) -> None:
        super().__init__()
        self.act, self.norms, self.pool_size = act, norm, 3 if overlap else 2
        self.C1 = nn.Conv2d(3, 64, 5, padding=2)
        self.C2 = nn.Conv2d(64, 64, 5, padding=2)
        self.L3 = Local(64, 64, 6)
        self.L4 = Local(64, 32, 6)
        self.out = nn.Linear(32 * 6 * 6, 10)

    def norm(self, x: Tensor) -> Tensor:
        return lrn(x, 9, 1, 0.001 / 9, 0.75) if self.norms else x

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(pool_up(self.act(self.C1(x)), self.pool_size))
        x = pool_up(self.norm(self.act(self.C2(x))), self.pool_size)
        x = self.act(self.L4(self.act(self.L3(x))))
        return F.softmax(self.out(x.flatten(1)), dim=1)
