"""Corrupt images: left out, reported and counted, up to a limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from netspec.data.dataset import Dataset
from netspec.errors import DataError


@contextmanager
def tried(number: int, faults: dict[int, str]) -> Iterator[None]:
    """What is done with an example; if it is corrupt, that is noted under its number."""
    try:
        yield
    except DataError as error:
        faults[number] = f"example {number}: {error}"


class Faults:
    """The corrupt images of a data set, each counted once, however often it is read.

    Args:
        dataset: for the message.
        allowed: how many may be corrupt.
    """

    def __init__(self, dataset: Dataset, allowed: int) -> None:
        self.dataset, self.allowed = dataset, allowed
        self.found: dict[int, str] = {}

    def add(self, faults: Mapping[int, str]) -> None:
        """Count more of them.

        Raises:
            DataError: there are more than allowed.
        """
        self.found.update(faults)
        if len(self.found) > self.allowed:
            *_, last = self.found.values()
            raise DataError(
                f"{len(self.found)} images of {self.dataset.name} cannot be used, and "
                f"{self.allowed} may: mend or remove them, or allow more. The last: {last}"
            )
