"""Test nets on held-out images, each alone and all together, in whatever form they come."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from netspec.artifact.reading import is_artifact
from netspec.data.dataset import Dataset
from netspec.data.files import escaped
from netspec.data.opening import open_data, require_outside
from netspec.data.preprocessing import view_of
from netspec.errors import DataError, OptionError
from netspec.files.writing import write_named
from netspec.inference.classify import name_of
from netspec.inference.source import is_a_run
from netspec.inference.subject import Subject, open_subject, require_a_classifier
from netspec.ir.expects import Expects
from netspec.language.definitions import Setting
from netspec.runtime.causes import require_finite_outputs
from netspec.training.batches import InOrder
from netspec.training.testing import VIEWS, Errors, answered, best, counted, place_of


@dataclass(frozen=True)
class Evaluation:
    """Errors of nets, each alone and all together, their outputs averaged.

    Attributes:
        data: the name of the split that they were tested on.
        runs: errors by what was given: runs, artifacts and specs.
        applied: what was done to an image for each.
        ensemble: errors of the averaged outputs.
    """

    data: str
    runs: dict[Path, Errors]
    applied: dict[Path, str]
    ensemble: Errors


def evaluate(
    nets: Sequence[str | Path],
    data: str | None = None,
    *,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expects: Expects | None = None,
    views: str | None = None,
    rows: Path | None = None,
    device: str | None = None,
    workers: int = 0,
    report: Callable[[Path, int, int], None] = lambda net, done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Evaluation:
    """Test nets on the validation split of a data set; runs know one.

    Args:
        nets: run directories, artifacts, and specs, each once.
        data: a data set; that of the runs, if it is one.
        weights: of the one spec: a safetensors file, or the name of weights that come with it.
        settings: values of the spec's parameters.
        expects: what the caller says of images and classes; what it leaves out is as it travels.
        views: ``tencrop`` or ``center``, in place of what a net expects.
        rows: a CSV file to write, a row per image.
        device: for runs and specs: in place of the one that a run was trained on.
        workers: processes that read.
        report: called with a net, the number of images it has answered for, and that of all.
        note: called with what was left out, once for each image.

    Raises:
        DataError: nets do not fit the data or each other, or something cannot be read or written.
    """
    paths = [Path(net) for net in nets]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise DataError(f"{twice} is given twice: it would only agree with itself")
    specs = [path for path in paths if not is_a_run(path) and not is_artifact(path)]
    if len(specs) != 1 and (weights or settings):
        raise OptionError(f"--weights and --set are for one spec, and {len(specs)} are given")

    def opened(path: Path) -> Subject:
        subject = open_subject(
            str(path),
            weights=weights if path in specs else None,
            settings=settings if path in specs else None,
            expects=expects,
            device=None if is_artifact(path) else device,
        )
        return subject if views is None else subject.shown(views)

    known = []
    for path in paths:  # all are checked before one is tested; one at a time is in memory
        subject = opened(path)
        known.append(_Known.of(path, subject))
    dataset = _data_set(known, data, rows)
    if dataset.passed_over:
        note(dataset.passed_over)
    summed = torch.zeros(len(dataset), known[0].outputs)
    labels = torch.full((len(dataset),), -1)
    seen = torch.zeros(len(dataset), dtype=torch.int64)
    answers = torch.full((len(paths), len(dataset)), -1)
    errors, applied, faults = {}, {}, dict[str, None]()
    by, classes = known[0].answers_by, len(dataset.classes)
    for number, path in enumerate(paths):
        subject = opened(path) if len(paths) > 1 else subject
        test, tests = _tests(subject, dataset, workers)
        counts = torch.zeros(3 + classes, dtype=torch.int64)
        for batch, outputs in answered(test, tests):
            counts += counted(place_of(outputs, batch.labels, by), batch.labels, classes)
            summed[batch.numbers] += outputs.float()
            labels[batch.numbers] = batch.labels
            seen[batch.numbers] += 1
            answers[number, batch.numbers] = best(outputs, by)
            report(path, int(counts[0]), len(dataset))
        faults |= dict.fromkeys(tests.faults.by_number.values())
        errors[path], applied[path] = Errors.of(counts.tolist(), tests), subject.done
    for fault in faults:
        note(fault)
    (usable,) = torch.nonzero(seen == len(paths), as_tuple=True)
    if not len(usable):
        raise DataError(f"no image of {dataset.name} can be used by all of the nets")
    places = place_of(summed[usable], labels[usable], by)
    if rows is not None:
        table = _Table(dataset, paths)
        for i, place in zip(usable.tolist(), places.tolist(), strict=True):
            answer = int(best(summed[i, None], by))
            score = float(summed[i, answer]) / len(paths)
            table.add(i, int(labels[i]), place, answer, score, answers[:, i].tolist())
        table.write(rows)
    together = Errors.of(counted(places, labels[usable], classes).tolist(), tests)
    return Evaluation(dataset.name, errors, applied, together)


def errors_of(
    subject: Subject, dataset: Dataset, *, views: str | None = None, workers: int = 0
) -> Errors:
    """Return the errors of one net on any split of a data set.

    Args:
        subject: the net.
        dataset: the split.
        views: ``tencrop`` or ``center``, in place of what the net expects.
        workers: processes that read.

    Raises:
        DataError: something cannot be read.
    """
    shown = subject if views is None else subject.shown(views)
    by, classes = subject.model.net.answers_by, len(dataset.classes)
    counts = torch.zeros(3 + classes, dtype=torch.int64)
    test, tests = _tests(shown, dataset, workers)
    for batch, outputs in answered(test, tests):
        counts += counted(place_of(outputs, batch.labels, by), batch.labels, classes)
    return Errors.of(counts.tolist(), tests)


@dataclass(frozen=True)
class _Known:
    """What is known of a net before it is tested.

    Attributes:
        path: what was given.
        classes: the names of its classes; empty if they are not known.
        outputs: the number of its outputs, with or without a class.
        answers_by: whether the ``most`` or the ``least`` of them is its answer.
        data: the data set that it learned from; None if that is not known.
    """

    path: Path
    classes: tuple[str, ...]
    outputs: int
    answers_by: str
    data: str | None

    @classmethod
    def of(cls, path: Path, subject: Subject) -> _Known:
        """Return what is known of a net.

        Raises:
            DataError: it is no classifier, or its weights are random.
        """
        net = subject.model.net
        require_a_classifier(net)
        if not subject.model.is_trained:
            raise DataError(f"{path} has random weights, which mean nothing: give --weights")
        outputs = net.graph.stage(net.graph.outputs[0]).known_shape.elements
        classes = subject.expects.classes
        return cls(path, classes, int(outputs), net.answers_by, subject.data)


def _data_set(nets: Sequence[_Known], data: str | None, rows: Path | None) -> Dataset:
    """Return the validation split that all nets are tested on.

    Raises:
        DataError: it is not known or cannot be read; nets have learned other classes; or their
            outputs cannot be averaged; or the table of rows would lie among the images.
    """
    asked = {net.data for net in nets if net.data is not None} if data is None else {data}
    if len(asked) > 1:
        listed = ", ".join(sorted(asked))
        raise DataError(f"the runs have learned from different data, {listed}: say which, --data")
    if not asked:
        raise DataError(f"{nets[0].path} does not say what to test on: --data DATA")
    name = asked.pop()
    if rows is not None:
        require_outside(rows, "a table", name)
    try:
        dataset = open_data(name).validation
    except DataError as error:
        moved = "; if the data has moved, say where it is, --data DATA" if data is None else ""
        raise DataError(f"{error}{moved}") from None
    for net in nets:
        _require_classes(net, dataset)
        _require_the_same_form(net, nets[0])
    return dataset


def _require_classes(net: _Known, dataset: Dataset) -> None:
    """Raise DataError unless a net has the classes of a data set, as far as it says them."""
    count = len(dataset.classes)
    if net.classes and net.classes != dataset.classes:
        raise DataError(
            f"{net.path} has learned {len(net.classes)} classes, and they are not the "
            f"{count} of {dataset.name}: if they are the same in the same order, give them the "
            "names that the data has, --classes FILE"
        )
    if net.outputs < count:
        raise DataError(
            f"{net.path} has {net.outputs:,} outputs for {count} classes of {dataset.name}"
        )


def _require_the_same_form(net: _Known, other: _Known) -> None:
    """Raise DataError unless the outputs of two nets can be averaged."""
    reason = ""
    if net.answers_by != other.answers_by:
        reason = "for one the greatest is the answer, for the other the least"
    elif net.outputs != other.outputs:
        reason = f"one has {net.outputs:,} of them, the other {other.outputs:,}; test each alone"
    if reason:
        raise DataError(f"outputs of {net.path} and of {other.path} cannot be averaged: {reason}")


def _tests(
    subject: Subject, dataset: Dataset, workers: int
) -> tuple[Callable[[Tensor], Tensor], InOrder]:
    """Return a net as a function of images, and the data set as batches of its views."""
    model, shape = subject.model, subject.model.net.input_shape
    view = view_of(subject.expects, shape)
    batch = max(1, VIEWS // view.count)
    tests = InOrder(dataset, view, shape, batch=batch, workers=workers)

    def test(images: Tensor) -> Tensor:
        with torch.inference_mode():
            placed = images.to(model.device, model.lowered.dtype)
            outputs: Tensor = model(placed)
        require_finite_outputs(model, placed, outputs)
        return outputs

    return test, tests


class _Table:
    """A row an image: what it shows, what was answered, and the place of the right answer."""

    def __init__(self, dataset: Dataset, nets: Sequence[Path]) -> None:
        self.classes = dataset.classes
        self.rows: list[list[object]] = [
            ["example", "class", "answer", "score", "place", *map(str, nets)]
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
        write_named(path, escaped(text.getvalue()).encode())


def class_name(classes: Sequence[str], output: int) -> str:
    """Return the name of the class of an output; ``output 7`` where it has no class."""
    return name_of(classes, output) or f"output {output}"
