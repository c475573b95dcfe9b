"""``netspec train``, ``eval``, and ``run`` of a run."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from netspec.cli import main
from netspec.data import open_data
from tests.forked import forked
from tests.training.runs import RECIPE, settings, weights


def netspec(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    spec = settings(folder, RECIPE.replace("epochs    3", "epochs    6")).spec
    done = netspec("train", spec, "--data", "digits:8", "-o", folder / "run", "--seed", 3)
    assert done.exit_code == 0, done.output
    (folder / "out").write_text(done.output)
    return folder / "run"


def test_a_line_an_epoch_without_a_terminal(trained: Path) -> None:
    title, data, recipe, run, header, *rows, last = (
        (trained.parent / "out").read_text().splitlines()
    )
    assert title == "small"
    assert data == "  data     digits:8: 1,437 for training and 360 for validation"
    assert recipe == (
        "  recipe   6 epochs of 23 steps, batch 64, sgd lr=0.1, momentum=0.9, decay=0.0005"
    )
    assert run == f"  run      {trained}, seed 3, cpu, float32"
    assert [row.split()[0] for row in rows] == list("123456")
    assert {len(row) for row in rows} == {len(header)}
    assert len(header) < 80  # a terminal
    assert re.match(r"error \d+\.\d\d %, top-5 \d+\.\d\d %; weights in ", last)


def test_runs_are_tested_each_alone_and_together(trained: Path, tmp_path: Path) -> None:
    spec = settings(tmp_path).spec
    other = tmp_path / "other"
    done = netspec("train", spec, "--data", "digits:8", "-o", other, "--epochs", 1, "--json")
    assert json.loads(done.stdout)["epochs"] == 1
    report = json.loads(netspec("eval", trained, other, "--json", "--center").stdout)
    assert [run["run"] for run in report["runs"]] == [str(trained), str(other)]
    assert report["runs"][0]["top1"] < report["runs"][1]["top1"]
    assert report["runs"][0]["images"] == 360
    assert set(report["ensemble"]) == {*["top1", "top5", "images", "untested", "untested_classes"]}
    lines = netspec("eval", trained, other).stdout.splitlines()
    assert lines[0] == "digits, 360 for validation"
    assert lines[-1].startswith("all 2, averaged")
    assert len({len(line) for line in lines[2:]}) == 1
    assert lines[1].startswith("images: ")


def test_a_run_says_what_a_image_shows(trained: Path, tmp_path: Path) -> None:
    dataset = open_data("digits:8").validation
    right = 0
    for number in range(0, 360, 18):
        pixels, label = dataset.example(number)
        Image.fromarray(pixels[..., 0]).save(tmp_path / "digit.png")
        answer = json.loads(netspec("run", trained, tmp_path / "digit.png", "--json").stdout)
        assert answer["trained"] is True
        best = answer["results"][0]["top"][0]
        right += best["name"] == str(label)
    assert right >= 17


def test_a_run_of_all_it_knows_is_given_nothing_more(trained: Path, tmp_path: Path) -> None:
    done = netspec("run", trained, "a.png", "--set", "a=1")
    assert done.exit_code == 2
    assert "--set does not apply to a run" in done.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "shown"),
    [
        ("trace", ["C1"], "C1"),
        ("draw", ["-o", "drawing.dot"], "is drawn in"),
        ("compile", [], "verify"),
        ("summary", [], "2,530"),
    ],
)
def test_a_real_run_is_accepted_where_its_spec_is_enough(
    command: str, arguments: list[str], shown: str, trained: Path, tmp_path: Path
) -> None:
    paths = [str(tmp_path / one) if one.endswith(".dot") else one for one in arguments]
    done = netspec(command, trained, *paths)
    assert done.exit_code == 0, done.output
    assert shown in done.stdout


@pytest.mark.parametrize("others", [[], ["--data", "digits"]])
def test_a_run_without_a_new_directory_is_told_how_to_continue(
    others: list[str], trained: Path
) -> None:
    done = netspec("train", trained, *others)
    assert done.exit_code == 2
    message = " ".join(done.stderr.replace("│", " ").split())
    assert f"is a run: continue it with --resume {trained}" in message
    assert "--data DATA -o ANOTHER" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet5"], "give a spec, the data and a directory for the run"),
        (["--resume", "run", "--lr", "1"], "began with: remove --lr"),
        (["lenet5", "--resume", "run"], "began with: remove SPEC"),
        (["lenet5", "--snapshots", "1,b"], "'b' is not a number from 0"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], message: str) -> None:
    done = netspec("train", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_net_without_columns_is_not_spread(tmp_path: Path) -> None:
    result = netspec("train", "lenet5", "--columns", "--data", "digits", "-o", tmp_path / "run")
    assert result.exit_code == 1
    assert "lenet5 has no columns" in result.output
    assert not (tmp_path / "run").exists()


def test_a_mistake_is_told(tmp_path: Path) -> None:
    done = netspec("train", "--resume", tmp_path / "none")
    assert done.exit_code == 1
    assert "is not a run directory" in done.stderr
    assert json.loads(netspec("eval", tmp_path, "--json").stdout)["error"]


INTERRUPTED = """
import signal, sys
from itertools import count
from torch.optim.optimizer import register_optimizer_step_post_hook
from netspec.cli import main

steps = count(1)

def interrupt(*_):
    if next(steps) == 30:
        signal.raise_signal(int(sys.argv[1]))

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
register_optimizer_step_post_hook(interrupt)
main(sys.argv[2:], prog_name="netspec")
"""
"""A training that gets a signal in a step, which cannot come too late as one after a time can."""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_finishes_the_step_and_saves(
    tmp_path: Path, trained: Path, number: signal.Signals
) -> None:
    spec = settings(tmp_path, RECIPE.replace("epochs    3", "epochs    6")).spec
    run = tmp_path / "run"
    asked = ["train", spec, "--data", "digits:8", "-o", str(run), "--seed", "3"]
    stopped = forked("torch").python("-c", INTERRUPTED, int(number), *asked)
    assert stopped.returncode == 128 + number
    assert stopped.stderr == f"saved; continue with: netspec train --resume {run}\n"
    done = netspec("train", "--resume", run)
    assert done.exit_code == 0, done.output
    assert "  resume   at step 8 of epoch 2" in done.output, "the signal came in step 7 of 23"
    assert weights(run) == weights(trained)
