"""Corrupt images: left out, reported and counted, up to a limit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from netspec.data.dataset import Dataset
from netspec.data.files import escaped
from netspec.errors import DataError


@contextmanager
def tried(dataset: Dataset, number: int, faults: dict[int, str]) -> Iterator[None]:
    """Run the body for an example; if the example is corrupt, note its fault by its number."""
    try:
        yield
    except DataError as error:
        faults[number] = escaped(f"{dataset.called(number)}: {error}")


class Faults:
    """The corrupt images of a data set, each counted once, however often it is read.

    Args:
        dataset: for the message.
        allowed: how many may be corrupt.
    """

    def __init__(self, dataset: Dataset, allowed: int) -> None:
        self.dataset, self.allowed = dataset, allowed
        self.by_number: dict[int, str] = {}

    def require_some(self, images: int) -> None:
        """Raise DataError if no image could be used; the message has the first fault."""
        if not images:
            first = next(iter(self.by_number.values()), "")
            such_as = f", such as: {first}" if first else ""
            raise DataError(f"no image of {self.dataset.name} can be used{such_as}")

    def add(self, faults: Mapping[int, str]) -> None:
        """Count more faults.

        Raises:
            DataError: more images are corrupt than allowed.
        """
        self.by_number.update(faults)
        if len(self.by_number) > self.allowed:
            *_, last = self.by_number.values()
            raise DataError(
                f"{len(self.by_number)} images of {self.dataset.name} cannot be used, and "
                f"{self.allowed} may: mend or remove them, or allow more. The last: {last}"
            )


def warn_of_lost_classes(classes: Sequence[str], used: Sequence[float], lost: set[str]) -> None:
    """Warn of classes of which no image of an epoch could be read; add them to ``lost``.

    Args:
        classes: their names.
        used: how many images of each could be read; nothing is said if there are none at all.
        lost: those that it has warned of.
    """
    for name, count in zip(classes, used, strict=True):
        if any(used) and not count and name not in lost:
            lost.add(name)
            warnings.warn(
                f"class {name} has no image that can be read: the net does not learn it; replace "
                "its files, or remove the folders of the class",
                stacklevel=2,
            )
