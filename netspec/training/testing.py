"""Testing: top-1 and top-5 errors, from the rank of the right class among the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netspec.runtime.causes import NotFiniteError
from netspec.training.batches import Batch, InOrder

VIEWS = 64
"""Number of images per batch in tests."""


@dataclass(frozen=True)
class Errors:
    """The result of a test.

    Attributes:
        images: number of tested images, at least one.
        wrong1: number of images whose right class is not the best.
        wrong5: number of images whose right class is not among the best five.
        untested: number of images that could not be used.
        untested_classes: names of the classes without a tested image.
    """

    images: int
    wrong1: int
    wrong5: int
    untested: int = 0
    untested_classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, counts: Sequence[float], tests: InOrder) -> Errors:
        """Return the errors for counts that :func:`counted` returned, summed over all ranks.

        Raises:
            DataError: if no image could be used.
        """
        images, wrong1, wrong5, *by_class = map(int, counts)
        tests.faults.require_some(images)
        names = tests.faults.dataset.classes
        without = tuple(name for name, count in zip(names, by_class, strict=True) if not count)
        return cls(images, wrong1, wrong5, tests.length - images, without)

    @property
    def top1(self) -> float:
        """Top-1 error in percent."""
        return 100 * self.wrong1 / self.images

    @property
    def top5(self) -> float:
        """Top-5 error in percent."""
        return 100 * self.wrong5 / self.images


def place_of(outputs: Tensor, labels: Tensor, by: str) -> Tensor:
    """Return the rank of the right class among all classes, from 1.

    Of equal outputs, the class with the smaller number ranks first.

    Args:
        outputs: [N, classes].
        labels: right classes, [N].
        by: ``most`` or ``least``: whether the largest or the smallest output is best.

    Returns:
        Ranks, [N] int64.
    """
    scores = outputs.flatten(1)
    scores = -scores if by == "least" else scores
    right = scores.gather(1, labels[:, None])
    is_before = torch.arange(scores.shape[1], device=scores.device)[None] < labels[:, None]
    # "not below" instead of "above": comparisons with NaN are False, and must not improve a rank
    return 1 + (~(scores < right) & ((scores != right) | is_before)).sum(1)


def counted(places: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return counts of images [3 + classes]: all, rank above 1, rank above 5, and of each class."""
    numbers = [torch.tensor(len(places)), *((places > n).sum().cpu() for n in (1, 5))]
    return torch.cat([torch.stack(numbers), labels.cpu().bincount(minlength=classes)])


def answered(test: Callable[[Tensor], Tensor], tests: InOrder) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch of a data set with the net's outputs [N, classes], averaged over views.

    Raises:
        NotFiniteError: if an output is not finite; the message names the image and the cause.
    """
    for batch in tests:
        count, views = batch.images.shape[:2]
        if count:
            try:
                outputs = test(batch.images.flatten(0, 1)).flatten(1)
            except NotFiniteError as error:
                number = int(batch.numbers[error.image // views])
                message = f"image {number:,}, counted from 0: {error}"
                raise NotFiniteError(message, number) from None
            wide = torch.promote_types(outputs.dtype, torch.float32)
            yield batch, outputs.to(wide).reshape(count, views, -1).mean(1).cpu()


def best(outputs: Tensor, by: str) -> Tensor:
    """Return the best class [N] of outputs [N, classes]."""
    return outputs.argmin(1) if by == "least" else outputs.argmax(1)
