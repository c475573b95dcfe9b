"""The images of a data set that are nearest to points, by activations of a row and by pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.data.dataset import Pixels
from netspec.see.streaming import Chunk, Summary


class Nearest(Summary):
    """The nearest images of points, in two spaces: vectors of a row, and pixels.

    Distances are those of float64 numbers, of which the difference is taken before the square: with
    |a|^2 + |b|^2 - 2ab, near images would have the rounding errors of large numbers.  Sums of
    squares of pixels are integers, and exact.  Of equal distances, that of the smaller number comes
    first.

    Args:
        vectors: activations of the row, [Q, D] float64.
        pixels: [Q, H, W, C] uint8.
        kept: number of neighbours.
        pixels_of: returns the pixels [N, H, W, C] of inputs of the net.

    Attributes:
        squares: squared distances, [2, Q, K] float64, the least first; infinity if there are fewer.
        numbers: of the images in the data set, [2, Q, K] int64; -1 if there are fewer.
        same: number of the first image with the same pixels, [Q] int64; -1 if there is none.
        copies: number of images with the same pixels, [Q] int64.
    """

    def __init__(
        self,
        vectors: NDArray[np.float64],
        pixels: Pixels,
        kept: int,
        pixels_of: Callable[[Tensor], Pixels],
    ) -> None:
        count = len(pixels)
        self._points = vectors, _flat(pixels)
        self._pixels_of = pixels_of
        self.about = vectors.tobytes() + pixels.tobytes()
        self.squares = torch.full((2, count, kept), float("inf"), dtype=torch.float64)
        self.numbers = torch.full((2, count, kept), -1)
        self.same, self.copies = torch.full((count,), -1), torch.zeros(count, dtype=torch.int64)

    def add(self, chunk: Chunk) -> None:
        spaces = _flat(chunk.activations.double().numpy()), _flat(self._pixels_of(chunk.images))
        for q in range(len(self.same)):
            squares = torch.from_numpy(
                np.stack(
                    [
                        np.square(values - points[q]).sum(1)
                        for values, points in zip(spaces, self._points, strict=True)
                    ]
                )
            )
            is_same = squares[1] == 0
            if is_same.any():
                if not self.copies[q]:
                    self.same[q] = chunk.numbers[is_same][0]
                self.copies[q] += is_same.sum()
            self._merge(q, chunk.numbers[~is_same], squares[:, ~is_same])

    def _merge(self, q: int, numbers: Tensor, squares: Tensor) -> None:
        kept = self.squares.shape[2]
        everything = torch.cat([self.squares[:, q], squares], 1)
        # stable: of equal distances the one before comes first, and images come in order
        order = everything.sort(dim=1, stable=True).indices[:, :kept]
        candidates = torch.cat([self.numbers[:, q], numbers.expand(2, -1)], 1)
        self.squares[:, q] = everything.gather(1, order)
        self.numbers[:, q] = candidates.gather(1, order)

    def tensors(self) -> dict[str, Tensor]:
        return {
            "squares": self.squares, "numbers": self.numbers,
            "same": self.same, "copies": self.copies,
        }  # fmt: skip

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        self.squares, self.numbers = tensors["squares"], tensors["numbers"]
        self.same, self.copies = tensors["same"], tensors["copies"]


def _flat(values: NDArray[np.generic]) -> NDArray[np.float64]:
    return values.reshape(len(values), -1).astype(np.float64)
