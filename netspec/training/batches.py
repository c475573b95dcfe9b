"""Batches of a data set, made on other processes while the device computes.

An epoch's order and each image's augmentation are functions of the seed, the epoch and the example:
batches are the same whatever the number of workers and ranks, and after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.data.dataset import Dataset, Pixels
from netspec.data.images import Values, center
from netspec.ir.randomness import generator
from netspec.ir.shapes import Shape, ceiling
from netspec.training.augment import Augment, Prepared
from netspec.training.faults import Faults, tried
from netspec.training.prepare import View
from netspec.training.workers import Workers

ALLOWED = 100
"""Images that may be corrupt, unless told otherwise."""


class Batch(NamedTuple):
    """Some examples of a data set; fewer than were asked for, or none, where some are corrupt.

    Attributes:
        images: [N, C, H, W] float32, channels-last in memory; in tests [N, views, C, H, W].
        labels: [N] int64.
        numbers: [N] int64, which examples they are.
        faults: why the others were left out.
    """

    images: Tensor
    labels: Tensor
    numbers: Tensor
    faults: tuple[str, ...]


Task: TypeAlias = tuple[int, NDArray[np.int64]]
"""An epoch, and the numbers of a batch's examples."""
RawBatch: TypeAlias = tuple[Tensor, Tensor, Tensor, dict[int, str]]
"""Images, labels and numbers of a batch, and the faults by number, as a worker returns them."""


@dataclass(frozen=True)
class _Making:
    """Makes a batch: ``view(pixels, epoch, number)`` of each example."""

    dataset: Dataset
    view: Callable[[Pixels, int, int], Values]
    shape: tuple[int, ...]
    """The shape of a view: [..., H, W, C]."""

    def __call__(self, task: Task) -> RawBatch:
        epoch, numbers = task
        images = torch.empty(len(numbers), *self.shape)
        views, labels, kept, faults = images.numpy(), list[int](), list[int](), dict[int, str]()
        for number in numbers.tolist():
            with tried(self.dataset, number, faults):
                pixels, label = self.dataset.example(number)
                views[len(kept)] = self.view(pixels, epoch, number)
                labels.append(label)
                kept.append(number)
        batch = images[: len(kept)].movedim(-1, -3)
        return batch, _integers(labels), _integers(kept), faults


def _integers(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


class Loader:
    """Batches of a data set by the numbers of their examples, with corrupt images counted."""

    def __init__(
        self, making: _Making, *, workers: int, allowed: int, rank: int, ranks: int, pinned: bool
    ) -> None:
        self.length = len(making.dataset)
        self.rank, self.ranks = rank, ranks
        self._workers = Workers(making, workers, pinned=pinned)
        self.faults = Faults(making.dataset, allowed)
        """The examples that could not be used so far, on this rank."""

    def _batches(self, epoch: int, steps: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        tasks = ((epoch, part(numbers, self.rank, self.ranks)) for numbers in steps)
        for images, labels, numbers, faults in self._workers.results(tasks):
            self.faults.add(faults)
            yield Batch(images, labels, numbers, tuple(faults.values()))

    @property
    def waited(self) -> float:
        """The seconds that the consumer of the batches has waited for them."""
        return self._workers.waited

    def close(self) -> None:
        """End the workers; they end as well when nothing refers to this any more."""
        self._workers.close()


@dataclass(frozen=True)
class _Augmented:
    prepare: Callable[[Pixels], Prepared]
    augment: Augment | None
    shape: Shape
    seed: int

    def __call__(self, pixels: Pixels, epoch: int, number: int) -> Values:
        prepared: Any = self.prepare(pixels)
        if self.augment is None:
            return center(prepared, self.shape[:2])
        return self.augment(prepared, generator(self.seed, "augment", epoch, number))


@dataclass(frozen=True)
class _Tested:
    view: View

    def __call__(self, pixels: Pixels, epoch: int, number: int) -> Values:
        return self.view(pixels)


class Batches(Loader):
    """A training set, batch after batch.

    Args:
        dataset: the training set.
        prepare: from pixels [H, W, 1 or 3] to values; with ``augment`` from ``for_training``.
        augment: from these to an image of the net's input; None takes the centre.
        shape: of the net's input, height x width x channels.
        batch: images of a step, of all ranks together.
        seed: of the run.
        workers: processes that read; 0 reads in this one.
        rank, ranks: which part of each batch is made, of how many.
        allowed: images that may be corrupt, counted on this rank.
        pinned: images lie where a GPU can copy them from while it computes.

    Attributes:
        steps: batches of an epoch; the last one may be short.
    """

    def __init__(
        self,
        dataset: Dataset,
        prepare: Callable[[Pixels], Prepared],
        augment: Augment | None,
        shape: Shape,
        *,
        batch: int,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        ranks: int = 1,
        allowed: int = ALLOWED,
        pinned: bool = False,
    ) -> None:
        self.batch, self.seed = batch, seed
        self.steps = ceiling(len(dataset), batch)
        making = _Making(dataset, _Augmented(prepare, augment, shape, seed), shape)
        options: dict[str, Any] = {"rank": rank, "ranks": ranks, "pinned": pinned}
        super().__init__(making, workers=workers, allowed=allowed, **options)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch from a step on.

        Raises:
            DataError: more images are corrupt than allowed, or a worker died.
        """
        order = generator(self.seed, "order", number).permutation(self.length)
        starts = range(start * self.batch, self.length, self.batch)
        return self._batches(number, (order[i : i + self.batch] for i in starts))


class InOrder(Loader):
    """A data set from its first example to its last, as it is shown to a net in tests.

    Iterating gives batches of images [N, views, C, H, W]; raises DataError if more images are
    corrupt than allowed, or a worker died.

    Args:
        dataset: to test on.
        view: from ``for_testing``.
        shape: of the net's input.
        batch: images at a time, of all ranks together; ten crops of one count once.
        workers, rank, ranks, allowed, pinned: as for :class:`Batches`.
    """

    def __init__(
        self,
        dataset: Dataset,
        view: View,
        shape: Shape,
        *,
        batch: int,
        workers: int = 0,
        rank: int = 0,
        ranks: int = 1,
        allowed: int = ALLOWED,
        pinned: bool = False,
    ) -> None:
        self.batch = batch
        making = _Making(dataset, _Tested(view), (view.count, *shape))
        options: dict[str, Any] = {"rank": rank, "ranks": ranks, "pinned": pinned}
        super().__init__(making, workers=workers, allowed=allowed, **options)

    def __iter__(self) -> Iterator[Batch]:
        starts = range(0, self.length, self.batch)
        return self._batches(0, (np.arange(self.length)[i : i + self.batch] for i in starts))


def part(numbers: NDArray[np.int64], rank: int, ranks: int) -> NDArray[np.int64]:
    """Return a rank's contiguous part of a batch.

    The sizes of the parts differ by one image at most; a part may be empty.
    """
    count = len(numbers)
    return numbers[rank * count // ranks : (rank + 1) * count // ranks]
