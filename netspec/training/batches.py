"""Batches of a data set, prepared by other processes while the device computes.

The order of an epoch and the augmentation of each image depend only on the seed, the epoch and the
example.  So batches do not depend on the number of workers or ranks, or on whether a run was
interrupted and resumed.
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
from netspec.data.preprocessing import View
from netspec.ir.randomness import generator
from netspec.ir.shapes import Shape, ceiling
from netspec.training.augment import Augment, Prepared
from netspec.training.faults import Faults, tried
from netspec.training.workers import Workers

ALLOWED = 100
"""Number of images that may be corrupt, by default."""


class Batch(NamedTuple):
    """A batch of examples.  Corrupt examples are omitted, so it can be short or empty.

    Attributes:
        images: [N, C, H, W] float32, channels-last in memory; for tests [N, views, C, H, W].
        labels: class numbers, [N] int64.
        numbers: numbers of the examples in the data set, [N] int64.
        faults: one message for each omitted example.
    """

    images: Tensor
    labels: Tensor
    numbers: Tensor
    faults: tuple[str, ...]


Task: TypeAlias = tuple[int, NDArray[np.int64]]
"""An epoch, and the numbers of the examples of a batch."""
RawBatch: TypeAlias = tuple[Tensor, Tensor, Tensor, dict[int, str]]
"""The result of a worker: images, labels and numbers of a batch, and faults by number."""


@dataclass(frozen=True)
class _Making:
    """The task of a worker: make a batch of ``view(pixels, epoch, number)`` of each example."""

    dataset: Dataset
    view: Callable[[Pixels, int, int], Values]
    shape: tuple[int, ...]
    """Shape of a view, [..., H, W, C]."""

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
    """Batches of a data set, given the numbers of their examples; counts corrupt images."""

    def __init__(
        self, making: _Making, *, workers: int, allowed: int, rank: int, ranks: int, pinned: bool
    ) -> None:
        self.length = len(making.dataset)
        self.rank, self.ranks = rank, ranks
        self._workers = Workers(making, workers, pinned=pinned)
        self.faults = Faults(making.dataset, allowed)
        """Corrupt examples found so far on this rank."""

    def _batches(self, epoch: int, steps: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        tasks = ((epoch, part(numbers, self.rank, self.ranks)) for numbers in steps)
        for images, labels, numbers, faults in self._workers.results(tasks):
            self.faults.add(faults)
            yield Batch(images, labels, numbers, tuple(faults.values()))

    @property
    def waited(self) -> float:
        """Seconds that the consumer has waited for batches."""
        return self._workers.waited

    def close(self) -> None:
        """Stop the workers.  They also stop when this object is deleted."""
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
    """Shuffled, augmented batches of a training set.

    Args:
        dataset: the training set.
        prepare: function from pixels [H, W, 1 or 3] to values [h, w, C]; ``for_training`` returns
            it together with ``augment``.
        augment: function from these values to the net's input; None cuts out the centre.
        shape: shape of the net's input, height x width x channels.
        batch: number of images per step, over all ranks.
        seed: seed of the run.
        workers: number of processes that read; 0 reads in this process.
        rank, ranks: index of the part of each batch that is made, and number of parts.
        allowed: number of images that may be corrupt on this rank.
        pinned: use pinned memory, which a GPU can copy from while it computes.

    Attributes:
        steps: number of batches per epoch; the last one may be short.
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
        """Return the batches of epoch ``number``, beginning with step ``start``.

        Raises:
            DataError: if more images are corrupt than allowed, or a worker died.
        """
        order = generator(self.seed, "order", number).permutation(self.length)
        starts = range(start * self.batch, self.length, self.batch)
        return self._batches(number, (order[i : i + self.batch] for i in starts))


class InOrder(Loader):
    """Batches of a data set in the order of its examples, for testing.

    Iteration yields batches of images [N, views, C, H, W].  It raises DataError if more images are
    corrupt than allowed, or if a worker died.

    Args:
        dataset: the data set to test on.
        view: function from pixels to views; ``for_testing`` returns it.
        shape: shape of the net's input, height x width x channels.
        batch: number of images per batch, over all ranks; the ten crops of an image count as one.
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
        return self.beginning_with(0)

    def beginning_with(self, example: int) -> Iterator[Batch]:
        """Return the batches of the examples from number ``example`` on."""
        # each batch has its own array of numbers: all of them are in memory until the end
        starts = range(example, self.length, self.batch)
        return self._batches(0, (np.arange(i, min(i + self.batch, self.length)) for i in starts))


def part(numbers: NDArray[np.int64], rank: int, ranks: int) -> NDArray[np.int64]:
    """Return a rank's contiguous part of a batch.

    The sizes of the parts differ by one image at most; a part may be empty.
    """
    count = len(numbers)
    return numbers[rank * count // ranks : (rank + 1) * count // ranks]
