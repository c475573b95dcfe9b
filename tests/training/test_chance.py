"""Runs that do not learn."""

from __future__ import annotations

import warnings
from math import log
from pathlib import Path

import pytest
from click.testing import CliRunner

from netspec.artifact.manifest import WEIGHTS
from netspec.cli import main
from netspec.net import loads
from netspec.training.chance import AtChance, Chance, chance, require_learned, warn_of_chance
from netspec.training.loop import resume, train
from netspec.training.metrics import Epoch, read_metrics
from netspec.training.run import Run
from netspec.training.settings import Settings
from tests.training.nets import recipe
from tests.training.runs import NET

TEN = Chance(log(10), 90.0)


def epochs(*rows: tuple[float, float, float]) -> list[Epoch]:
    """Epochs with a loss, an error on the training set, and one on the validation set."""
    return [
        Epoch(
            epoch=number, steps=number, lr=0.1, loss=loss, train_error=train, top1=top1, top5=0,
            images_per_second=1, waiting=0, corrupt=0, seconds=1,
        )
        for number, (loss, train, top1) in enumerate(rows, 1)
    ]  # fmt: skip


def warned(*rows: tuple[float, float, float], guessing: Chance | None = TEN) -> list[int]:
    """The epochs after which a warning is given."""
    given = []
    for count in range(1, len(rows) + 1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_chance(guessing, epochs(*rows)[:count])
        given += [count] * len(caught)
    return given


# ----------------------------------------------------------------------------------------- guessing


def test_guessing_has_the_loss_of_equal_probabilities() -> None:
    net = loads("net a\ninput image 8x8x1\nb: fc 10 | softmax\n" + recipe())
    assert net.recipe is not None
    assert chance(net, net.recipe, 10) == Chance(pytest.approx(log(10)), pytest.approx(90))
    assert chance(net, net.recipe, 4) == Chance(pytest.approx(log(10)), pytest.approx(75))
    squared = loads("net a\ninput image 8x8x1\nb: fc 4\n" + recipe(loss="squared_error"))
    assert squared.recipe is not None
    assert chance(squared, squared.recipe, 4) == Chance(pytest.approx(0.75), pytest.approx(75))


def test_heads_count_with_their_weights() -> None:
    text = "input image 8x8x1\nb: fc 10\nhead h from image, weight=0.3: fc 10 | softmax\n"
    net = loads(f"net a\n{text}c from b: softmax\n" + recipe())
    assert net.recipe is not None
    guessing = chance(net, net.recipe, 10)
    assert guessing is not None
    assert guessing.loss == pytest.approx(1.3 * log(10))


def test_distances_to_codes_and_a_single_class_have_none() -> None:
    net = loads("net a\ninput image 8x8x1\nb: fc 10 | softmax\n" + recipe())
    assert net.recipe is not None
    assert chance(net, net.recipe, 1) is None
    assert warned((1e6, 100, 100), guessing=None) == []
    require_learned(None, epochs((1e6, 100, 100)), "run")


# -------------------------------------------------------------------------------------- the warning


@pytest.mark.parametrize(
    "rows",
    [
        [(2.3, 88, 85), (1.9, 70, 60)],  # learns
        [(2.303, 90, 90), (2.303, 90, 90)],  # dead: at chance, and not above it
        [(4.5, 90, 80)],  # first steps at a high rate
        [(9.0, 40, 20), (0.5, 10, 9)],  # began far off, and learns
        [(0.01, 0, 0)],
    ],
)
def test_other_losses_are_not_told(rows: list[tuple[float, float, float]]) -> None:
    assert warned(*rows) == []
    require_learned(TEN, epochs(*rows), "run")


def test_a_loss_far_above_chance_is_told_once() -> None:
    assert warned((7, 89, 90), (8, 90, 90), (3877, 90, 90)) == [1]
    assert warned((2.3, 89, 90), (8, 90, 90), (3877, 90, 90)) == [2]
    with pytest.warns(UserWarning, match=r"epoch 1 is 3,877, .* guessing, 2\.3: .*--lr 0\.01"):
        warn_of_chance(TEN, epochs((3877, 90, 90)))


# ---------------------------------------------------------------------------------------- the error


@pytest.mark.parametrize(
    "rows",
    [
        [(3877, 90, 90)],
        [(2.3, 90, 90), (5, 90, 90)],
        [(300, 90, 90), (100, 90, 90)],
        [(2.3, 89, 88), (2.5, 89, 89), (47, 91, 89)],
        [(2516, 90.3, 90), (2.32, 90, 90.3), (2.31, 90.4, 90)],  # its ReLUs have died since
        [(2.3, 89, 88), (47, 91, 89), (2.31, 90, 90)],
    ],
)
def test_a_run_at_chance_with_a_loss_that_grew_is_an_error(
    rows: list[tuple[float, float, float]],
) -> None:
    with pytest.raises(AtChance, match=r"has learned nothing.*weights are kept in run"):
        require_learned(TEN, epochs(*rows), "run")


@pytest.mark.parametrize(
    "rows",
    [
        [(2.3, 90, 90)],  # a short run, or dead
        [(2.3, 90, 90), (2.31, 90, 90), (4.6, 90, 90)],  # not yet twice
        [(9, 90, 90), (6, 90, 90)],  # falls
        [(47, 90, 90), (2.1, 84, 82)],  # exploded at first, and learns
        [(2.3, 90, 90), (5, 90, 70)],  # no longer at chance
        [(2.3, 90, 90), (5, 60, 90)],  # learns by heart
        [(6.9, 99.9, 99.9), (6.8, 99.5, 99)],
    ],
)
def test_other_ends_are_no_errors(rows: list[tuple[float, float, float]]) -> None:
    require_learned(TEN, epochs(*rows), "run")


# -------------------------------------------------------------------------------------------- a run

RAW = recipe(init="he", optimizer="sgd lr=1, momentum=0.9", batch="64", epochs="2")
"""Pixels from 0 to 255, and a rate for those from 0 to 1."""


def test_a_run_that_diverges_is_told_fails_and_is_kept(tmp_path: Path) -> None:
    spec, directory = tmp_path / "small.net", tmp_path / "run"
    spec.write_text(NET.replace("C1: conv 3x3, 4 | relu\n", "") + RAW, encoding="utf-8")
    with pytest.warns(UserWarning, match="the loss of epoch 1 is"), pytest.raises(AtChance) as told:
        train(Settings(spec=str(spec), data="digits:8"), directory)
    assert f"the weights are kept in {directory}" in str(told.value)
    assert (directory / WEIGHTS).is_file()
    assert len(read_metrics(directory)) == 2
    assert Run.open(directory).is_finished
    with pytest.raises(AtChance):
        resume(directory)
    done = CliRunner().invoke(main, ["train", "--resume", str(directory)])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: the run has learned nothing: ")
