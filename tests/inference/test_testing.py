"""Testing nets on data sets: runs, ensembles, ten crops, rows for a file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from netspec.artifact.manifest import WEIGHTS
from netspec.data import open_data
from netspec.errors import DataError
from netspec.inference.testing import evaluate
from netspec.runtime.weights import save_tensors
from netspec.training.loop import train
from netspec.training.run import Run
from tests.training.runs import metrics, settings

CROPPING = """train {
    prepare   resize 10x10 | range low=0, high=1
    augment   crop 8 | flip
    loss      cross_entropy
    init      glorot
    optimizer sgd lr=0.1, momentum=0.9
    batch     64
    epochs    1
    evaluate  tencrop
}
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of other seeds."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        train(settings(folder, seed=seed, epochs=2), folder / str(seed))
    return folder / "0", folder / "1"


def test_a_run_is_tested_as_it_was_while_it_learned(two: tuple[Path, Path]) -> None:
    evaluation = evaluate(two)
    for run in two:
        last = metrics(run)[-1]
        assert (evaluation.runs[run].top1, evaluation.runs[run].top5) == (
            last["top1"],
            last["top5"],
        )


def test_an_ensemble_averages_after_the_softmax(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Against a loop over the examples, one at a time, by the plain nets."""
    evaluation = evaluate(two, rows=tmp_path / "rows.csv")
    dataset = open_data("digits:8").validation
    runs = [Run.open(path) for path in two]
    shown = [(run.trained().as_reference().eval(), run.view()) for run in runs]
    wrong, answers = 0, []
    for net, _ in shown:
        net.requires_grad_(False)
    for number in range(len(dataset)):
        pixels, label = dataset.example(number)
        outputs = [
            net(torch.from_numpy(view(pixels)).movedim(-1, 1))[0].double() for net, view in shown
        ]
        mean = torch.stack(outputs).mean(0)
        answers.append((label, int(mean.argmax()), float(mean.max()), outputs))
        wrong += int(mean.argmax()) != label
    assert evaluation.ensemble.wrong1 == wrong
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 360
    for row, (label, answer, score, outputs) in zip(rows, answers, strict=True):
        assert (row["class"], row["answer"]) == (str(label), str(answer))
        assert float(row["score"]) == pytest.approx(score, abs=1e-5)
        assert [row[str(path)] for path in two] == [str(int(y.argmax())) for y in outputs]
        assert (row["place"] == "1") == (label == answer)


def test_ten_crops_are_averaged(tmp_path: Path) -> None:
    train(settings(tmp_path, CROPPING), tmp_path / "run")
    dataset = open_data("digits:8").validation
    run = Run.open(tmp_path / "run")
    net = run.trained().as_reference().eval().requires_grad_(False)
    wrong = 0
    for number in range(len(dataset)):
        pixels, label = dataset.example(number)
        views = torch.from_numpy(run.view("tencrop")(pixels)).movedim(-1, 1)
        assert views.shape == (10, 1, 8, 8)
        wrong += int(net(views).double().mean(0).argmax()) != label
    assert evaluate([tmp_path / "run"], views="tencrop").ensemble.wrong1 == wrong
    assert evaluate([tmp_path / "run"]).ensemble.wrong1 == wrong  # as its recipe says
    alone = evaluate([tmp_path / "run"], views="center").ensemble
    assert alone.top1 == metrics(tmp_path / "run")[-1]["top1"]


def test_nets_of_other_classes_are_refused(two: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="is given twice"):
        evaluate([two[0], two[0]])
    with pytest.raises(DataError, match="'letters' is not a data set"):
        evaluate(two, "letters")


def test_a_run_that_has_not_finished_is_tested_as_far_as_it_is(two: tuple[Path, Path]) -> None:
    run = Run.open(two[0])
    weights = run.directory / WEIGHTS
    tensors = run.weights()
    weights.unlink()
    try:
        assert evaluate([two[0]]).ensemble.top1 == metrics(two[0])[-1]["top1"]
    finally:
        save_tensors(tensors, weights)


def test_outputs_that_are_not_finite_are_an_error_with_the_image(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = Run.open(two[0]).weights()
    tensors["F2.weight"] *= 1e38
    monkeypatch.setattr(Run, "weights", lambda run: dict(tensors))
    message = (
        r"image 0, counted from 0: the outputs of small are not finite: F\d(\.fc)? is the first row"
    )
    with pytest.raises(DataError, match=message):
        evaluate([two[0]])


def test_rows_replace_no_file_of_another_kind(two: tuple[Path, Path], tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text("mine")
    with pytest.raises(DataError, match=r"the existing file is not .*, or force=True"):
        evaluate(two, rows=notes)
    assert notes.read_text() == "mine"
    evaluate(two[:1], rows=notes, force=True)
    assert notes.read_text().startswith("example,class,")
