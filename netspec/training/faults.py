"""Corrupt images: omitted, reported and counted, up to a limit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from netspec.data.dataset import Dataset
from netspec.data.files import escaped
from netspec.errors import DataError


@contextmanager
def tried(dataset: Dataset, number: int, faults: dict[int, str]) -> Iterator[None]:
    """Run the body for an example; if it raises DataError, store the message under its number."""
    try:
        yield
    except DataError as error:
        faults[number] = escaped(f"{dataset.called(number)}: {error}")


class Faults:
    """The corrupt images of a data set.  Each counts once, however often it is read.

    Args:
        dataset: the data set, which messages name.
        allowed: number of images that may be corrupt.
    """

    def __init__(self, dataset: Dataset, allowed: int) -> None:
        self.dataset, self.allowed = dataset, allowed
        self.by_number: dict[int, str] = {}

    def require_some(self, images: int) -> None:
        """Raise DataError if no image could be used; the message shows the first fault."""
        if not images:
            first = next(iter(self.by_number.values()), "")
            such_as = f", such as: {first}" if first else ""
            raise DataError(f"no image of {self.dataset.name} can be used{such_as}")

    def add(self, faults: Mapping[int, str]) -> None:
        """Add faults, by number of the example.

        Raises:
            DataError: if more images are corrupt than allowed.
        """
        self.by_number.update(faults)
        if len(self.by_number) > self.allowed:
            *_, last = self.by_number.values()
            raise DataError(
                f"{len(self.by_number)} images of {self.dataset.name} cannot be used, and at most "
                f"{self.allowed} are allowed: fix or remove them. The last: {last}"
            )


def warn_of_lost_classes(classes: Sequence[str], used: Sequence[float], lost: set[str]) -> None:
    """Warn of classes that have no readable image in an epoch; add them to ``lost``.

    Args:
        classes: names of the classes.
        used: number of images of each class that could be read; if all are 0, there is no warning,
            since :meth:`Faults.require_some` raises an error.
        lost: classes that were warned of before; they are not warned of again.
    """
    for name, count in zip(classes, used, strict=True):
        if any(used) and not count and name not in lost:
            lost.add(name)
            warnings.warn(
                f"class {name} has no image that can be read, so the net does not learn it: "
                "replace its files, or remove the folders of the class",
                stacklevel=2,
            )
