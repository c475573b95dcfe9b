"""What the Inception nets with batch normalisation share.

Modules are named so that a tensor's name in PyTorch is its name in the spec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand

Pool = Callable[[Tensor], Tensor]


class Conv(NamedTuple):
    """A convolution of a chain, without padding unless the size is to stay."""

    count: int
    height: int = 1
    width: int = 1
    stride: int = 1
    keeps: bool = True

    @property
    def padding(self) -> tuple[int, int]:
        return (self.height // 2, self.width // 2) if self.keeps else (0, 0)


def square(count: int, size: int) -> Conv:
    return Conv(count, size, size)


def valid(count: int, size: int, stride: int = 1) -> Conv:
    return Conv(count, size, size, stride, keeps=False)


class Style(NamedTuple):
    """What the authors' codes differ in."""

    eps: float
    bias: bool


class Branch(NamedTuple):
    """A pool or none, then convolutions, then a fork at the end or none."""

    convs: tuple[Conv, ...] = ()
    pool: Pool | None = None
    fork: tuple[Conv, ...] = ()


def branch(*convs: Conv, pool: Pool | None = None, fork: tuple[Conv, ...] = ()) -> Branch:
    return Branch(convs, pool, fork)


class Chain(nn.Module):
    """A branch for so many input channels; norm and ReLU follow every convolution."""

    def __init__(self, style: Style, into: int, parts: Branch) -> None:
        super().__init__()
        self.pool = parts.pool
        self.steps = []
        for i, conv in enumerate(parts.convs, start=1):
            number = "" if len(parts.convs) == 1 else str(i)
            names = f"conv{number}", f"bn{number}"
            size, bias = (conv.height, conv.width), style.bias
            convolution = nn.Conv2d(into, conv.count, size, conv.stride, conv.padding, bias=bias)
            self.add_module(names[0], convolution)
            self.add_module(names[1], nn.BatchNorm2d(conv.count, style.eps))
            self.steps.append(names)
            into = conv.count
        self.fork = [f"b{k}" for k in range(1, len(parts.fork) + 1)]
        for name, conv in zip(self.fork, parts.fork, strict=True):
            self.add_module(name, Chain(style, into, branch(conv)))
        self.gives = sum(conv.count for conv in parts.fork) or into

    def forward(self, x: Tensor) -> Tensor:
        if self.pool:
            x = self.pool(x)
        for conv, norm in self.steps:
            x = F.relu(self.get_submodule(norm)(self.get_submodule(conv)(x)))
        if self.fork:
            x = torch.cat([self.get_submodule(name)(x) for name in self.fork], dim=1)
        return x


class Side(nn.Module):
    """Branches side by side, joined along the channels."""

    def __init__(self, style: Style, into: int, *branches: Branch) -> None:
        super().__init__()
        chains = [Chain(style, into, parts) for parts in branches]
        for k, chain in enumerate(chains, start=1):
            self.add_module(f"b{k}", chain)
        self.gives = sum(chain.gives for chain in chains)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([chain(x) for chain in self.children()], dim=1)


class Rows(ByHand):
    """Rows one after another, then the mean of each map, a linear layer and softmax."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.style, self.gives, self.rows = style, 3, list[str]()

    def chain(self, label: str, *convs: Conv, pool: Pool | None = None) -> None:
        self._add(label, Chain(self.style, self.gives, branch(*convs, pool=pool)))

    def side(self, label: str, *branches: Branch) -> None:
        self._add(label, Side(self.style, self.gives, *branches))

    def _add(self, label: str, module: Chain | Side) -> None:
        self.add_module(label, module)
        self.rows.append(label)
        self.gives = module.gives

    def end(self) -> None:
        self.out = nn.Linear(self.gives, 1000)

    def through(self, x: Tensor, first: str | None = None, last: str | None = None) -> Tensor:
        """What the row ``last`` gives when ``first`` takes x."""
        start = self.rows.index(first) if first else 0
        end = self.rows.index(last) + 1 if last else len(self.rows)
        for label in self.rows[start:end]:
            x = self.get_submodule(label)(x)
        return x

    def classified(self, x: Tensor) -> Tensor:
        return F.softmax(self.out(x.mean((2, 3))), dim=1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.classified(self.through(x))


def max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2)


def average_with_padding(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=True)


def average_without_padding(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
