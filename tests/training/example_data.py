"""Small data sets for tests, importable by the processes that read."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence

import numpy as np

from netspec.data.dataset import Dataset, Example, Pixels
from netspec.errors import DataError
from netspec.ir.recipe import Recipe, RecipeStep


class Drawn(Dataset):
    """Random images; of one size, or of sizes that take turns."""

    def __init__(
        self,
        count: int,
        *sizes: tuple[int, int],
        channels: int = 3,
        corrupt: Sequence[int] = (),
        deadly: Sequence[int] = (),
    ) -> None:
        super().__init__("drawn images", ("a", "b"))
        self.count, self.sizes, self.channels = count, sizes, channels
        self.corrupt, self.deadly = corrupt, deadly

    def __len__(self) -> int:
        return self.count

    def example(self, number: int) -> Example:
        if number in self.corrupt:
            raise DataError(f"cannot read image-{number}.png: it is truncated")
        if number in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return Example(self.pixels(number), number % 2)

    def pixels(self, number: int) -> Pixels:
        height, width = self.sizes[number % len(self.sizes)]
        drawn = np.random.default_rng(number)
        # channels that go together, as colours do
        grey = drawn.integers(0, 200, (height, width, 1))
        return (grey + drawn.integers(0, 56, (height, width, self.channels))).astype(np.uint8)

    def contents(self) -> Iterable[bytes]:
        yield repr((self.count, self.sizes, self.channels)).encode()


def recipe(prepare: Sequence[RecipeStep] = (), augment: Sequence[RecipeStep] = ()) -> Recipe:
    return Recipe(prepare=list(prepare), augment=list(augment))
