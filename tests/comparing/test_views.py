from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from netspec.cli import main
from netspec.comparing import differences
from netspec.comparing.experiments import EXPERIMENTS
from netspec.views import bench_chart, comparison, comparison_chart


def run(seed: int, test: float, steps: float | None) -> dict[str, Any]:
    epochs = [[1, 10, 2.0, 80.0, 60.0], [2, 20, 1.0, 20.0, test]]
    return {
        "seed": seed,
        "values": {"steps to 25 % training error": steps, "test error": test},
        "seconds": 1.0,
        "columns": ["epoch", "steps", "loss", "train_error", "top1"],
        "epochs": epochs,
    }


def summary(mean: float | None, deviation: float | None, runs: int) -> dict[str, Any]:
    return {"mean": mean, "deviation": deviation, "runs": runs, "of": 2}


STEPS = {"name": "steps to 25 % training error", "unit": "steps", "level": 25}
TEST = {"name": "test error", "unit": "%", "level": 0}
ANSWER = {
    "experiment": "bias",
    "title": "Biases that begin with 1",
    "source": "section 5",
    "says": "they accelerate",
    "note": "",
    "net": "lenet5_arms",
    "asked": {"data": "digits", "seeds": 2},
    "measures": [STEPS, TEST],
    "arms": [
        {
            "name": "1",
            "search": {"best": 0.03},
            "measures": {STEPS["name"]: summary(20.0, 2.0, 2), "test error": summary(3.0, 0.5, 2)},
            "runs": [run(0, 2.5, 18.0), run(1, 3.5, 22.0)],
        },
        {
            "name": "0",
            "search": {"best": 0.1},
            "measures": {STEPS["name"]: summary(30.0, None, 1), "test error": summary(0.0, 0.0, 2)},
            "runs": [run(0, 0.0, 30.0), run(1, 0.0, None)],
        },
    ],
    "differences": [
        {"arm": "0", "from": "1", "measure": STEPS["name"], "difference": None}
        | {"low": None, "high": None, "is_larger_than_noise": None},
        {"arm": "0", "from": "1", "measure": "test error", "difference": -3.0}
        | {"low": -5.0, "high": -1.0, "is_larger_than_noise": True},
    ],
}


def test_the_table_has_means_deviations_and_what_was_not_reached() -> None:
    assert [*comparison.lines(ANSWER)] == [
        "Biases that begin with 1 (section 5)",
        "  paper  they accelerate",
        "  here   lenet5_arms on digits, 2 seeds, 2 epochs of 10 steps",
        "",
        "arm  learning rate  steps to 25 % training error     test error",
        "1             0.03                        20 ± 2  3.00 ± 0.50 %",
        "0              0.1                   30 (1 of 2)  0.00 ± 0.00 %",
        "",
        "0 minus 1, steps to 25 % training error: too few runs to tell",
        "0 minus 1, test error: -3.00 % [-5.00, -1.00], larger than the noise",
    ]


def test_nothing_reached_is_said() -> None:
    assert comparison.value(STEPS, summary(None, None, 0)) == "not reached"


def test_the_figure_shows_every_arm_and_measure() -> None:
    with Image.open(BytesIO(comparison_chart.rendered(ANSWER, "png"))) as image:
        assert image.width > 1000
    text = comparison_chart.rendered(ANSWER, "svg").decode()
    for shown in ("steps to 25 % training error", "test error, %", "3.00 ± 0.50 %", "steps"):
        assert shown in text
    assert comparison_chart.rendered(ANSWER, "svg").decode() == text


def test_curves_stand_where_they_were_measured() -> None:
    (first, *_) = ANSWER["arms"]
    one = first["runs"][0]
    assert comparison_chart._curve(one, is_training=True) == [(5, 80), (15, 20)]
    assert comparison_chart._curve(one, is_training=False) == [(10, 60), (20, 2.5)]


def test_the_command_lists_them_all() -> None:
    done = CliRunner().invoke(main, ["compare", "--list"])
    assert done.exit_code == 0
    for one in EXPERIMENTS:
        assert f"{one.name} " in done.output
        assert one.says in done.output


@pytest.mark.parametrize(("module", "extra"), [(differences, "compare"), (bench_chart, "plot")])
def test_what_is_missing_is_told_before_anything_is_trained(
    module: ModuleType, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    arguments = ["compare", "lrn", "--data", "digits", "-o", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert f"pip install 'netspec-compiler[{extra}]'" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_command_trains_and_draws(data: str, tmp_path: Path) -> None:
    words = ["compare", "tencrop", "--data", data, "-o", str(tmp_path / "c"), "--seeds", "2"]
    done = CliRunner().invoke(main, [*words, "--epochs", "1"])
    assert done.exit_code == 0, done.output
    assert "ten crops, seed 1: test error" in done.stderr
    assert "the centre minus ten crops, test error" in done.stdout
    assert (tmp_path / "c" / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["compare"], 2, "EXPERIMENT --data DATA -o DIR"),
        (["compare", "pooling", "--data", "digits"], 2, "EXPERIMENT --data DATA -o DIR"),
        (["compare", "nothing", "--data", "digits", "-o", "x"], 1, "choose one of relu-tanh, lrn"),
        (["compare", "colour", "--data", "digits", "-o", "x"], 1, "use one of cifar10"),
    ],
)
def test_mistakes_are_told(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code
    assert message in done.stderr
    assert not any(tmp_path.iterdir())
