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
from netspec.files.writing import write_named
from netspec.ir.recipe import CenterCrop, Recipe, TenCrop
from netspec.net import Net
from netspec.runtime.causes import NotFiniteError, require_finite_outputs
from netspec.training.batches import Batch, InOrder
from netspec.training.run import Run

VIEWS = 64
"""Images that go through a net at once."""


@dataclass(frozen=True)
class Errors:
    """The numbers of images that were classified wrong: by the best class, and by the best five.

    Attributes:
        images: that were tested, at least one.
        wrong1, wrong5: those of them.
        untested: images that could not be used.
    """

    images: int
    wrong1: int
    wrong5: int
    untested: int = 0

    @classmethod
    def of(cls, counts: Sequence[float], tests: InOrder) -> Errors:
        """Return the errors of counts as :func:`counted` gives them, over all ranks.

        Raises:
            DataError: no image could be used.
        """
        images, wrong1, wrong5 = map(int, counts)
        tests.faults.require_some(images)
        return cls(images, wrong1, wrong5, tests.length - images)

    @property
    def top1(self) -> float:
        """In percent."""
        return 100 * self.wrong1 / self.images

    @property
    def top5(self) -> float:
        """In percent."""
        return 100 * self.wrong5 / self.images


def answers_by(net: Net) -> str:
    """Return whether the ``most`` or the ``least`` of a net's outputs is its answer."""
    return net.graph.stage(net.graph.outputs[0]).op.answers_by


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


def counted(places: Tensor) -> Tensor:
    """Return the numbers of images, and of those placed after the first, and the fifth: [3]."""
    return torch.stack([torch.tensor(len(places)), *((places > n).sum().cpu() for n in (1, 5))])


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


def as_told(recipe: Recipe) -> Recipe:
    """Return a recipe that tests as its spec says."""
    return recipe


def centre(recipe: Recipe) -> Recipe:
    """Return a recipe that tests on the centre alone."""
    return replace(recipe, evaluate=[CenterCrop()])


def tencrop(recipe: Recipe) -> Recipe:
    """Return a recipe that tests on ten crops."""
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
    protocol: Callable[[Recipe], Recipe] = as_told,
    rows: Path | None = None,
    device: str | None = None,
    workers: int = 0,
    report: Callable[[Path, int, int], None] = lambda run, done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Evaluation:
    """Test runs on the validation split of a data set, which need not be the one they know.

    Args:
        runs: their directories.
        data: a data set; that of the runs, if it is one.
        protocol: changes how recipes test: :func:`as_told`, :func:`tencrop` or :func:`centre`.
        rows: a CSV file to write, a row per image.
        device: in place of the one that a run was trained on.
        workers: processes that read.
        report: called with a run, the number of images it has answered for, and that of all.
        note: called with what was left out, once for each image.

    Raises:
        DataError: runs do not fit the data or each other, or something cannot be read or written.
    """
    opened = [Run.open(path) for path in runs]
    twice = next((path for path in runs if runs.count(path) > 1), None)
    if twice is not None:
        raise DataError(f"{twice} is given twice: it would only agree with itself")
    dataset = _data_set(opened, data)
    if dataset.passed_over:
        note(dataset.passed_over)
    summed = torch.zeros(len(dataset), _outputs(opened))
    labels = torch.full((len(dataset),), -1)
    seen = torch.zeros(len(dataset), dtype=torch.int64)
    answers = torch.full((len(opened), len(dataset)), -1)
    errors, faults = {}, dict[str, None]()
    for number, run in enumerate(opened):
        by, counts = answers_by(run.net), torch.zeros(3, dtype=torch.int64)
        test, tests = _tests(run, dataset, protocol, device, workers)
        for batch, outputs in answered(test, tests):
            counts += counted(place_of(outputs, batch.labels, by))
            summed[batch.numbers] += outputs.float()
            labels[batch.numbers] = batch.labels
            seen[batch.numbers] += 1
            answers[number, batch.numbers] = best(outputs, by)
            report(run.directory, int(counts[0]), len(dataset))
        faults |= dict.fromkeys(tests.faults.by_number.values())
        errors[run.directory] = Errors.of(counts.tolist(), tests)
    for fault in faults:
        note(fault)
    by = answers_by(opened[0].net)
    (known,) = torch.nonzero(seen == len(opened), as_tuple=True)
    if not len(known):
        raise DataError(f"no image of {dataset.name} can be used by all of the runs")
    places = place_of(summed[known], labels[known], by)
    if rows is not None:
        table = _Table(dataset, runs)
        for i, place in zip(known.tolist(), places.tolist(), strict=True):
            answer = int(best(summed[i, None], by))
            score = float(summed[i, answer]) / len(opened)
            table.add(i, int(labels[i]), place, answer, score, answers[:, i].tolist())
        table.write(rows)
    images, wrong1, wrong5 = counted(places).tolist()
    together = Errors(images, wrong1, wrong5, len(dataset) - images)
    return Evaluation(dataset.name, errors, together)


def errors_of(
    run: Run,
    dataset: Dataset,
    *,
    protocol: Callable[[Recipe], Recipe] = as_told,
    device: str | None = None,
    workers: int = 0,
) -> Errors:
    """Return the errors of one run on any split of a data set.

    Raises:
        DataError: something cannot be read.
    """
    by, counts = answers_by(run.net), torch.zeros(3, dtype=torch.int64)
    test, tests = _tests(run, dataset, protocol, device, workers)
    for batch, outputs in answered(test, tests):
        counts += counted(place_of(outputs, batch.labels, by))
    return Errors.of(counts.tolist(), tests)


def best(outputs: Tensor, by: str) -> Tensor:
    """Return the answers [N] of outputs [N, classes]."""
    return outputs.argmin(1) if by == "least" else outputs.argmax(1)


def _data_set(runs: Sequence[Run], data: str | None) -> Dataset:
    """Return the validation split that all runs are tested on."""
    asked = {run.settings.data for run in runs} if data is None else {data}
    if len(asked) > 1:
        listed = ", ".join(sorted(asked))
        raise DataError(f"the runs have learned from different data, {listed}: say which, --data")
    try:
        dataset = open_data(asked.pop()).validation
    except DataError as error:
        moved = "; if the data has moved, say where it is, --data DATA" if data is None else ""
        raise DataError(f"{error}{moved}") from None
    for run in runs:
        if run.classes != dataset.classes:
            raise DataError(
                f"{run.directory} has learned {len(run.classes)} classes, and they are not the "
                f"{len(dataset.classes)} of {dataset.name}"
            )
        if answers_by(run.net) != answers_by(runs[0].net):
            raise DataError(
                f"outputs of {run.directory} and of {runs[0].directory} cannot be averaged: "
                "for one the greatest is the answer, for the other the least"
            )
    return dataset


def _outputs(runs: Sequence[Run]) -> int:
    """Return the number of outputs of the runs' nets, with or without a class.

    Raises:
        DataError: they have different numbers of them.
    """
    outputs = [run.net.graph.stage(run.net.graph.outputs[0]).known_shape.elements for run in runs]
    for run, count in zip(runs, outputs, strict=True):
        if count != outputs[0]:
            raise DataError(
                f"outputs of {run.directory} and of {runs[0].directory} cannot be averaged: one "
                f"has {count:,} of them, the other {outputs[0]:,}; test each alone"
            )
    return int(outputs[0])


def class_name(classes: Sequence[str], output: int) -> str:
    """Return the name of the class of an output; ``output 7`` where it has no class."""
    return classes[output] if output < len(classes) else f"output {output}"


def _tests(
    run: Run,
    dataset: Dataset,
    protocol: Callable[[Recipe], Recipe],
    device: str | None,
    workers: int,
) -> tuple[Callable[[Tensor], Tensor], InOrder]:
    """Return a run's net, as a function of images, and the data set as batches of its views."""
    model = run.trained(device)
    view = run.view(protocol)
    batch = max(1, VIEWS // view.count)
    tests = InOrder(dataset, view, run.shape, batch=batch, workers=workers)

    def test(images: Tensor) -> Tensor:
        with torch.inference_mode():
            placed = images.to(model.device, model.lowered.dtype)
            outputs: Tensor = model(placed)
        require_finite_outputs(model, placed, outputs)
        return outputs

    return test, tests


class _Table:
    """A row an image: what it shows, what was answered, and the place of the right answer."""

    def __init__(self, dataset: Dataset, runs: Sequence[Path]) -> None:
        self.classes = dataset.classes
        self.rows: list[list[object]] = [
            ["example", "class", "answer", "score", "place", *map(str, runs)]
        ]

    def add(
        self, number: int, label: int, place: int, answer: int, score: float, answers: list[int]
    ) -> None:
        alone = [class_name(self.classes, index) for index in answers]
        names = self.classes[label], class_name(self.classes, answer)
        self.rows.append([number, *names, f"{score:.6g}", place, *alone])

    def write(self, path: Path) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.rows)
        write_named(path, text.getvalue().encode())
