"""Testing: how often the right class is not the best, or not among the best five."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netspec.runtime.causes import NotFiniteError
from netspec.training.batches import Batch, InOrder

VIEWS = 64
"""Images that go through a net at once."""


@dataclass(frozen=True)
class Errors:
    """The numbers of images that were classified wrong: by the best class, and by the best five.

    Attributes:
        images: that were tested, at least one.
        wrong1, wrong5: those of them.
        untested: images that could not be used.
        untested_classes: the names of classes of which no image was tested.
    """

    images: int
    wrong1: int
    wrong5: int
    untested: int = 0
    untested_classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, counts: Sequence[float], tests: InOrder) -> Errors:
        """Return the errors of counts as :func:`counted` gives them, over all ranks.

        Raises:
            DataError: no image could be used.
        """
        images, wrong1, wrong5, *by_class = map(int, counts)
        tests.faults.require_some(images)
        names = tests.faults.dataset.classes
        without = tuple(name for name, count in zip(names, by_class, strict=True) if not count)
        return cls(images, wrong1, wrong5, tests.length - images, without)

    @property
    def top1(self) -> float:
        """In percent."""
        return 100 * self.wrong1 / self.images

    @property
    def top5(self) -> float:
        """In percent."""
        return 100 * self.wrong5 / self.images


def place_of(outputs: Tensor, labels: Tensor, by: str) -> Tensor:
    """Return the place of the right class among all, from 1: [N].  Of equals the first is better.

    Args:
        outputs: [N, classes].
        labels: [N].
        by: whether the ``most`` or the ``least`` is best.
    """
    scores = outputs.flatten(1)
    scores = -scores if by == "least" else scores
    right = scores.gather(1, labels[:, None])
    is_before = torch.arange(scores.shape[1], device=scores.device)[None] < labels[:, None]
    # what is not finite is no better than anything: "not below" in place of "above"
    return 1 + (~(scores < right) & ((scores != right) | is_before)).sum(1)


def counted(places: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the numbers of images, of those placed after the first and the fifth, and of those of
    each class: [3 + classes]."""
    numbers = [torch.tensor(len(places)), *((places > n).sum().cpu() for n in (1, 5))]
    return torch.cat([torch.stack(numbers), labels.cpu().bincount(minlength=classes)])


def answered(test: Callable[[Tensor], Tensor], tests: InOrder) -> Iterator[tuple[Batch, Tensor]]:
    """Yield each batch of a data set with the net's outputs [N, classes], averaged over views.

    Raises:
        NotFiniteError: outputs are not finite; it names the image, and says why.
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
    """Return the answers [N] of outputs [N, classes]."""
    return outputs.argmin(1) if by == "least" else outputs.argmax(1)
