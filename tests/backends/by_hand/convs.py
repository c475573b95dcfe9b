"""Chains of convolutions with batch normalisation, and sums of them, as in residual nets.

Modules are named so that a tensor's name in PyTorch is its name in the spec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand


class Conv(NamedTuple):
    """A square convolution, padded by half its kernel."""

    size: int
    count: int
    stride: int = 1
    groups: int = 1


class Style(NamedTuple):
    """Differences between the reference implementations."""

    eps: float = 1e-5
    act: Callable[[Tensor], Tensor] = F.relu
    bias: bool = False
    pads_same: bool = False
    """TensorFlow pads a stride of 2 with one pixel more at the end; only for even sizes."""


class Convs(nn.Module):
    """Convolutions, each with a norm, and with an activation after each or all but the last."""

    def __init__(self, style: Style, into: int, *convs: Conv, ends_linear: bool = False) -> None:
        super().__init__()
        self.style, self.steps = style, list[tuple[str, str, bool]]()
        for i, conv in enumerate(convs, start=1):
            number = "" if len(convs) == 1 else str(i)
            padding = 0 if style.pads_same else conv.size // 2
            self.add_module(
                f"conv{number}",
                nn.Conv2d(
                    into,
                    conv.count,
                    conv.size,
                    conv.stride,
                    padding,
                    groups=conv.groups,
                    bias=style.bias,
                ),
            )
            self.add_module(f"bn{number}", nn.BatchNorm2d(conv.count, style.eps))
            is_active = i < len(convs) or not ends_linear
            self.steps.append((f"conv{number}", f"bn{number}", is_active))
            into = conv.count
        self.gives = into

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        norm = self.get_submodule(self.steps[-1][1])
        assert isinstance(norm, nn.BatchNorm2d)
        return norm

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm, is_active in self.steps:
            convolution = self.get_submodule(conv)
            assert isinstance(convolution, nn.Conv2d)
            if self.style.pads_same:
                total = convolution.kernel_size[0] - convolution.stride[0]
                x = F.pad(x, (total // 2, total - total // 2) * 2)
            x = self.get_submodule(norm)(convolution(x))
            x = self.style.act(x) if is_active else x
        return x


class Sum(nn.Module):
    """A linear chain added to its input, or to a projection of it."""

    def __init__(self, chain: Convs, projection: Convs | None = None) -> None:
        super().__init__()
        self.b1 = chain
        self.b2 = projection
        self.gives = chain.gives

    def forward(self, x: Tensor) -> Tensor:
        return self.b1(x) + (self.b2(x) if self.b2 else x)


class Rows(ByHand):
    """Named rows one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.gives = list[str](), 3

    def row(self, label: str, module: Convs | Sum) -> None:
        self.add_module(label, module)
        self.rows.append(label)
        self.gives = module.gives

    def adjust(self) -> None:
        for module in self.modules():
            if isinstance(module, Convs) and module.style.act is F.relu6:
                for _, norm, is_active in module.steps:
                    if is_active:  # Values above 6 must occur, or a plain ReLU would pass.
                        module.get_parameter(f"{norm}.weight").mul_(2)
            if isinstance(module, Sum):
                # If each of 50 sums doubled the variance, softmax would saturate.
                module.b1.last_norm.weight.mul_(0.2)

    def through(self, x: Tensor) -> Tensor:
        for label in self.rows:
            x = self.get_submodule(label)(x)
        return x


def classified(x: Tensor, fc: nn.Module) -> Tensor:
    return F.softmax(fc(x.mean((2, 3))), dim=1)
