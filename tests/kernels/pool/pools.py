"""What the tests of the pools share: windows of every kind, and where each looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.kernels.helpers import normal


@dataclass(frozen=True)
class Pool:
    """A map's size (N, H, W, C) and the windows over it; padding is (top, bottom, left, right)."""

    size: tuple[int, int, int, int]
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def window(self) -> tuple[list[int], list[int], list[int]]:
        """The operators' arguments."""
        return list(self.kernel), list(self.stride), list(self.padding)

    @property
    def size_out(self) -> tuple[int, int, int, int]:
        batch, height, width, channels = self.size
        top, bottom, left, right = self.padding
        height_out = (height + top + bottom - self.kernel[0]) // self.stride[0] + 1
        width_out = (width + left + right - self.kernel[1]) // self.stride[1] + 1
        return batch, height_out, width_out, channels

    @property
    def covering(self) -> int:
        """Windows that cover one pixel, at most."""
        return -(-self.kernel[0] // self.stride[0]) * -(-self.kernel[1] // self.stride[1])

    def windows(self) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
        """Each window's (i, j), and (place, h, w) of its taps on the map, in order."""
        for i in range(self.size_out[1]):
            for j in range(self.size_out[2]):
                taps = [
                    (
                        r * self.kernel[1] + s,
                        i * self.stride[0] + r - self.padding[0],
                        j * self.stride[1] + s - self.padding[2],
                    )
                    for r in range(self.kernel[0])
                    for s in range(self.kernel[1])
                ]
                height, width = self.size[1:3]
                yield i, j, [t for t in taps if 0 <= t[1] < height and 0 <= t[2] < width]

    def x(self, dtype: torch.dtype, seed: int = 0) -> Tensor:
        return normal(*self.size, dtype=dtype, seed=seed)

    def dy(self, dtype: torch.dtype, seed: int = 1) -> Tensor:
        return normal(*self.size_out, dtype=dtype, seed=seed)


@st.composite
def pools(draw: st.DrawFn, most: int = 5, channels: int = 300) -> Pool:
    """Any pool of small maps: windows up to ``most``, strides beyond them, padding to its limit."""
    channel = draw(st.integers(1, 12) | st.sampled_from([16, 24, 33, 96, 257, 300]))
    channel = min(channel, channels)
    sides, kernel, stride, padding = [], [], [], []
    for _ in "hw":
        side = draw(st.integers(1, 9 if channel <= 33 else 4))
        step = draw(st.integers(1, most + 1))
        taps = draw(st.integers(1, most))
        before = draw(st.integers(0, taps - 1))
        fewest = max(1, (side + before - taps) // step + 1)
        out = draw(st.integers(fewest, (side + before - 1) // step + 1))
        after = max(0, (out - 1) * step + taps - before - side)
        unused = (out - 1) * step + taps + step - 1 - (side + before + after)
        after += draw(st.integers(0, max(0, unused)))
        sides.append(side)
        stride.append(step)
        kernel.append(taps)
        padding += [before, after]
    return Pool(
        (draw(st.integers(0, 2)), sides[0], sides[1], channel),
        (kernel[0], kernel[1]),
        (stride[0], stride[1]),
        (padding[0], padding[1], padding[2], padding[3]),
    )


def sums(x: Tensor, pool: Pool) -> Tensor:
    """Sums of windows in float64, tap by tap."""
    y = torch.zeros(pool.size_out, dtype=torch.float64, device=x.device)
    for i, j, taps in pool.windows():
        for _, h, w in taps:
            y[:, i, j] += x[:, h, w].double()
    return y


def spread(dy: Tensor, pool: Pool) -> Tensor:
    """Each dy added to the taps of its window, in float64."""
    dx = torch.zeros(pool.size, dtype=torch.float64, device=dy.device)
    for i, j, taps in pool.windows():
        for _, h, w in taps:
            dx[:, h, w] += dy[:, i, j].double()
    return dx
