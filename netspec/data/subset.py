"""A part of a data set: some of its examples, in their order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Dataset, Example


class Subset(Dataset):
    """Some examples of a data set; example ``n`` is example ``numbers[n]`` of it.

    Args:
        dataset: the data set.
        numbers: of the examples, [N] int64.
    """

    def __init__(self, dataset: Dataset, numbers: NDArray[np.int64]) -> None:
        super().__init__(dataset.name, dataset.classes)
        self.dataset, self.numbers = dataset, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def example(self, number: int) -> Example:
        return self.dataset.example(int(self.numbers[number]))

    def called(self, number: int) -> str:
        return self.dataset.called(int(self.numbers[number]))

    def contents(self) -> Iterable[bytes | memoryview]:
        yield self.dataset.digest.encode()
        yield self.numbers.tobytes()
