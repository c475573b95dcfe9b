"""Testing: how often the right class is not the best, or not among the best five."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from netspec.data import Dataset, open_data
from netspec.errors import DataError
from netspec.net import Net
from netspec.recipe import CenterCrop, Recipe, TenCrop
from netspec.training.batches import Batch, Tests
from netspec.training.prepare import for_testing
from netspec.training.run import Run
from netspec.writing import write_whole

VIEWS = 64
"""Images that go through a net at once."""


@dataclass(frozen=True)
class Errors:
    """How many images were classified wrong: by the best class, and by the best five."""

    images: int
    wrong1: int
    wrong5: int

    @property
    def top1(self) -> float:
        """In percent."""
        return 100 * self.wrong1 / max(self.images, 1)

    @property
    def top5(self) -> float:
        """In percent."""
        return 100 * self.wrong5 / max(self.images, 1)


def answers_by(net: Net) -> str:
    """Whether the ``most`` or the ``least`` of a net's outputs is its answer."""
    return net.graph.stage(net.graph.outputs[0]).op.answers_by


def place_of(outputs: Tensor, labels: Tensor, by: str) -> Tensor:
    """The place of the right class among all, from 1: [N].  Of equal ones the first is better.

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


def counted(places: Tensor) -> Tensor:
    """Images, and those with a place behind the first and behind the fifth: [3]."""
    return torch.stack([torch.tensor(len(places)), *((places > n).sum().cpu() for n in (1, 5))])


def answered(test: Callable[[Tensor], Tensor], tests: Tests) -> Iterator[tuple[Batch, Tensor]]:
    """Each batch of a data set with the net's outputs [N, classes], the mean over all views."""
    for batch in tests:
        count, views = batch.images.shape[:2]
        if count:
            outputs = test(batch.images.flatten(0, 1)).flatten(1)
            wide = torch.promote_types(outputs.dtype, torch.float32)
            yield batch, outputs.to(wide).unflatten(0, (count, views)).mean(1).cpu()


def centre(recipe: Recipe) -> Recipe:
    """A recipe that tests on the centre alone."""
    return replace(recipe, evaluate=[CenterCrop()])


def tencrop(recipe: Recipe) -> Recipe:
    """A recipe that tests on ten crops."""
    return replace(recipe, evaluate=[TenCrop()])


@dataclass(frozen=True)
class Evaluation:
    """Errors of runs, each alone and all together, their outputs averaged."""

    data: str
    runs: dict[Path, Errors]
    ensemble: Errors


def evaluate(
    runs: Sequence[Path],
    data: str | None = None,
    *,
    testing: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    rows: Path | None = None,
    device: str | None = None,
    workers: int = 0,
    report: Callable[[int, int], None] = lambda done, images: None,
) -> Evaluation:
    """Test runs on the validation split of a data set, which need not be the one they know.

    Args:
        runs: their directories.
        data: a data set; that of the runs, if it is one.
        testing: changes their recipes: :func:`tencrop`, :func:`centre`, or not at all.
        rows: a CSV file for a row an image.
        device: in place of the one that a run was trained on.
        workers: processes that read.
        report: told how many images of all runs are done, of how many.

    Raises:
        DataError: runs do not fit the data or each other, or something cannot be read or written.
    """
    opened = [Run.open(path) for path in runs]
    dataset = _one_data_set(opened, data)
    total, answers = torch.zeros(()), dict[Path, Tensor]()
    found, labels = {}, torch.full((len(dataset),), -1)
    seen = torch.zeros(len(dataset), dtype=torch.int64)
    for run in opened:
        if len(run.classes) != len(dataset.classes):
            raise DataError(
                f"{run.directory} knows {len(run.classes)} classes, and {dataset.name} has "
                f"{len(dataset.classes)}"
            )
        outputs = torch.zeros(len(dataset), len(dataset.classes))
        model = run.trained(device)
        view = for_testing(testing(run.recipe), run.shape, run.kept_statistics())
        batch = max(1, VIEWS // view.count)
        tests = Tests(dataset, view, run.shape, batch=batch, workers=workers)
        for batch, output in answered(model.classify, tests):
            outputs[batch.numbers] = output
    raise NotImplementedError
