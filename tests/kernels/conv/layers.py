"""Drawn convolutions, their operands, and what they are in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.conv.geometry import Geometry, checked
from tests.kernels.helpers import DTYPES, normal


@dataclass(frozen=True)
class Layer:
    """A convolution to test: its sizes, and whether it has a bias and a ReLU."""

    size: tuple[int, int, int, int] = (1, 1, 1, 1)
    count: int = 1
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    relu: bool = False
    dtype: torch.dtype = torch.float64

    @cached_property
    def x(self) -> Tensor:
        return normal(*self.size, dtype=self.dtype, seed=1)

    @cached_property
    def w(self) -> Tensor:
        seen = self.size[3] // self.groups
        return normal(self.count, *self.kernel, seen, dtype=self.dtype, seed=2)

    @cached_property
    def b(self) -> Tensor | None:
        return normal(self.count, dtype=self.dtype, seed=3) if self.bias else None

    @cached_property
    def dy(self) -> Tensor:
        return normal(*self.geometry.size_out, dtype=self.dtype, seed=4)

    @property
    def attributes(self) -> tuple[list[int], list[int], list[int], int]:
        return list(self.stride), list(self.padding), list(self.dilation), self.groups

    @cached_property
    def geometry(self) -> Geometry:
        return checked(self.x, self.w, *self.attributes)

    def exact(self, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        """The convolution in float64, by PyTorch on the CPU, differentiable."""
        top, bottom, left, right = self.padding
        image = F.pad(x.double().cpu().permute(0, 3, 1, 2), (left, right, top, bottom))
        y = F.conv2d(
            image,
            w.double().cpu().permute(0, 3, 1, 2),
            None if b is None else b.double().cpu(),
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        ).permute(0, 2, 3, 1)
        return y.relu() if self.relu else y

    @cached_property
    def y(self) -> Tensor:
        return self.exact(self.x, self.w, self.b)

    @cached_property
    def magnitude(self) -> Tensor:
        """The sums of absolute values, without ReLU."""
        b = None if self.b is None else self.b.abs()
        return self.exact(self.x.abs(), self.w.abs(), b)

    def gradients(self, x: Tensor, w: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients (dx, dw, db) of the convolution without ReLU in float64."""
        leaves = [t.detach().double().cpu().clone().requires_grad_() for t in (x, w)]
        bias = torch.zeros(self.count, dtype=torch.float64, requires_grad=True)
        y = replace(self, relu=False).exact(leaves[0], leaves[1], bias)
        return torch.autograd.grad(y, [*leaves, bias], dy.double().cpu())


@st.composite
def layers(draw: st.DrawFn, *, most_channels: int = 40, groups: int = 3) -> Layer:
    """Sizes from 1 up that do not divide the tiles; strides beyond the window; padding up to the
    window; now and then up to 300 channels, and no images at all."""
    parts = draw(st.integers(1, groups))
    seen = draw(st.integers(1, max(1, most_channels // parts)))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = [draw(st.integers(0, reach[side // 2])) for side in range(4)]
    size = [
        draw(st.integers(smallest, smallest + 6))
        for smallest in (
            max(1, reach[0] + 1 - padding[0] - padding[1]),
            max(1, reach[1] + 1 - padding[2] - padding[3]),
        )
    ]
    return Layer(
        size=(draw(st.integers(0, 2)), *size, seen * parts),
        count=draw(st.integers(1, 40 // parts)) * parts,
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        padding=(padding[0], padding[1], padding[2], padding[3]),
        dilation=dilation,
        groups=parts,
        bias=draw(st.booleans()),
        relu=draw(st.booleans()),
        dtype=draw(st.sampled_from(DTYPES)),
    )


GROUPED = Layer((1, 5, 5, 96), 64, (5, 5), padding=(2, 2, 2, 2), groups=2, relu=True)
MANY_CHANNELS = Layer((2, 2, 3, 300), 70, (1, 2), padding=(0, 0, 1, 0), dtype=torch.float32)
FIRST = Layer((2, 15, 14, 3), 5, (11, 11), (4, 4), (0, 3, 0, 1), relu=True, dtype=torch.float32)
NO_IMAGES = Layer((0, 4, 4, 8), 3, (3, 3))
"""Layers that are always tested: two groups as in C2 of AlexNet, with a quarter of its kernels;
channels that divide nothing; a first layer whose windows hang over the edge; an empty batch."""
