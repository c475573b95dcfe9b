"""Test nets on held-out images, each alone and all together, in whatever form they come."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from netspec.artifact.reading import is_artifact
from netspec.data.dataset import Dataset
from netspec.data.files import escaped
from netspec.data.opening import open_data, require_outside
from netspec.data.preprocessing import view_of
from netspec.errors import DataError, require_type
from netspec.files.kinds import ROWS, require_place
from netspec.files.writing import write_named
from netspec.inference.classify import name_of
from netspec.inference.source import expects_of, is_a_run, refuse
from netspec.inference.subject import (
    Subject,
    by_path,
    open_subject,
    require_a_classifier,
)
from netspec.ir.arguments import choice, place, whole
from netspec.ir.expects import VIEWS as VIEWS_OF_AN_IMAGE
from netspec.ir.expects import Expects
from netspec.language.definitions import Setting
from netspec.printing import Printed
from netspec.runtime.causes import require_finite_outputs
from netspec.runtime.compiled import Compiled
from netspec.training.batches import InOrder
from netspec.training.testing import VIEWS, Errors, answered, best, counted, place_of

if TYPE_CHECKING:
    from netspec.inference.subject import Given


@dataclass(frozen=True, repr=False)
class Evaluation(Printed):
    """Errors of nets, each alone and all together with their outputs averaged.

    Attributes:
        data: Name of the split that they were tested on.
        runs: Errors by what was given: the path of a run, an artifact or a spec, or the name of a
            net.
        applied: What was done to an image, for each net.
        ensemble: Errors of the averaged outputs.
    """

    data: str
    runs: dict[Path, Errors]
    applied: dict[Path, str]
    ensemble: Errors


def evaluate(
    nets: Given | Sequence[Given],
    data: str | None = None,
    *,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    expect: str | None = None,
    views: str | None = None,
    rows: str | Path | None = None,
    force: bool = False,
    device: str | None = None,
    workers: int = 0,
    report: Callable[[Path, int, int], None] = lambda net, done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Evaluation:
    """Test nets on the validation split of a data set, as ``netspec eval`` does.

    Args:
        nets: one net or several, each as :func:`netspec.classify` takes it.
        data: a data set, such as ``"digits"`` or ``"images:DIR"``; by default that of the runs.
        weights: of the one spec: a file of weights, or the name of weights that come with it.
        settings: values of the parameters of the one spec.
        prepare, classes: what the nets expect of images, as :func:`netspec.classify` takes it.
        expect: the root digest of the one artifact.
        views: ``tencrop`` or ``center``, in place of what a net expects.
        rows: a CSV file to write, with one row per image.
        force: replace a file of another kind with the rows.
        device: ``cpu`` or ``cuda``, for runs and specs: in place of the device of training.
        workers: number of processes that read images.
        report: called with a net, the number of images tested so far, and the number of all.
        note: called with each remark on the data, such as an image that was skipped.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: a spec, or ``prepare``, has mistakes.
        DataError: nets do not fit the data or each other, or something cannot be read or written.
    """
    expects = expects_of(prepare, classes)
    options: dict[str, Any] = {"weights": weights, "settings": settings, "expect": expect}
    opened = _Nets(by_path(nets), expects, device, views, options)
    paths = [*opened.nets]
    workers = whole("workers", workers, 0, 1024)
    if data is not None:
        require_type("data", data, str, "a data set, such as digits or images:DIR")
    csv_file = None if rows is None else place("rows", rows)
    if csv_file is not None:
        require_place(csv_file, ROWS, force=force)
    known = []
    for path in paths:  # all are checked before any is tested; only one is in memory at a time
        subject = opened(path)
        known.append(_Known.of(path, subject))
    dataset = _data_set(known, data, csv_file)
    if dataset.passed_over:
        note(dataset.passed_over)
    summed = torch.zeros(len(dataset), known[0].outputs)
    labels = torch.full((len(dataset),), -1)
    seen = torch.zeros(len(dataset), dtype=torch.int64)
    answers = torch.full((len(paths), len(dataset)), -1)
    errors, applied, faults = {}, {}, dict[str, None]()
    by, count = known[0].answers_by, len(dataset.classes)
    for number, path in enumerate(paths):
        subject = opened(path) if len(paths) > 1 else subject
        test, tests = tests_of(subject, dataset, workers)
        counts = torch.zeros(3 + count, dtype=torch.int64)
        for batch, outputs in answered(test, tests):
            counts += counted(place_of(outputs, batch.labels, by), batch.labels, count)
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
    if csv_file is not None:
        listed = _Table(dataset, paths)
        for i, position in zip(usable.tolist(), places.tolist(), strict=True):
            answer = int(best(summed[i, None], by))
            score = float(summed[i, answer]) / len(paths)
            listed.add(i, int(labels[i]), position, answer, score, answers[:, i].tolist())
        listed.write(csv_file)
    together = Errors.of(counted(places, labels[usable], count).tolist(), tests)
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
    by, count = subject.model.net.answers_by, len(dataset.classes)
    counts = torch.zeros(3 + count, dtype=torch.int64)
    test, tests = tests_of(shown, dataset, workers)
    for batch, outputs in answered(test, tests):
        counts += counted(place_of(outputs, batch.labels, by), batch.labels, count)
    return Errors.of(counts.tolist(), tests)


class _Nets:
    """Nets by path, and the options that they are opened with.

    Args:
        nets: the nets.
        expects: what the caller says of images and classes.
        device: for runs and specs, in place of the device of training.
        views: ``tencrop`` or ``center``, in place of what a net expects.
        options: ``weights`` and ``settings`` of the one spec, ``expect`` of the one artifact.

    Raises:
        TypeError, ValueError: there are no such views.
        OptionError: an option is for one net, and there are none or several.
    """

    def __init__(
        self,
        nets: Mapping[Path, Given],
        expects: Expects | None,
        device: str | None,
        views: str | None,
        options: Mapping[str, Any],
    ) -> None:
        self.nets, self.expects, self.device, self.options = nets, expects, device, options
        self.views = None if views is None else choice("views", views, VIEWS_OF_AN_IMAGE)
        by_place = {path: net for path, net in nets.items() if isinstance(net, str | Path)}
        self.artifacts = {path for path, net in by_place.items() if is_artifact(net)}
        runs = {path for path, net in by_place.items() if is_a_run(net)}
        models = {path for path, net in nets.items() if isinstance(net, Compiled)}
        self.specs = {*nets} - self.artifacts - runs - models
        if len(self.specs) != 1:
            why = f"is for one spec, and {len(self.specs)} are given"
            refuse(why, weights=options["weights"], settings=options["settings"])
        if len(self.artifacts) != 1:
            why = f"is for one artifact, and {len(self.artifacts)} are given"
            refuse(why, expect=options["expect"])

    def __call__(self, path: Path) -> Subject:
        """Return a net, opened."""
        options = ["weights", "settings"] if path in self.specs else []
        options += ["expect"] if path in self.artifacts else []
        subject = open_subject(
            self.nets[path],
            expects=self.expects,
            device=None if path in self.artifacts else self.device,
            **{name: self.options[name] for name in options},
        )
        return subject if self.views is None else subject.shown(self.views)


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
            raise DataError(f"{path} has random weights: give trained ones with --weights")
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
        raise DataError(
            f"the runs were trained on different data, {listed}: choose one with --data"
        )
    if not asked:
        raise DataError(f"{nets[0].path} does not have a data set: give one with --data")
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
    """Raise DataError unless a net has the classes of a data set, where it says them."""
    count = len(dataset.classes)
    if net.classes and len(net.classes) != count:
        raise DataError(
            f"{net.path} has names of {len(net.classes):,} classes, and {dataset.name} has {count} "
            "classes: test on other data, or give one name per class with --classes FILE"
        )
    differing = [i for i, name in enumerate(net.classes) if name != dataset.classes[i]]
    if differing:
        first = differing[0]
        raise DataError(
            f"the classes of {net.path} are not those of {dataset.name}: class {first} is "
            f"{net.classes[first]!r} for the net and {dataset.classes[first]!r} in the data; if "
            "the classes are the same in the same order, give their names in the data "
            "with --classes FILE"
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


def tests_of(
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
