"""``netspec bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result

from netspec.cli import main
from netspec.timing import measure, memory, rates
from netspec.views import bench_chart


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 1 << 16)
    monkeypatch.setattr(measure, "SAMPLE", 1e-4)
    monkeypatch.setattr(memory, "peak", lambda case, name, threads: 5e6)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


QUICK = ("lenet5", "--against", "eager,eager-channels-last", "--rounds", 1)


def test_it_prints_a_table_and_a_line_per_step_on_standard_error() -> None:
    done = run(*QUICK)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [
        "lenet5, batch 1: netspec compiles",
        "lenet5, batch 1: eager compiles",
        "lenet5, batch 1: eager-channels-last compiles",
        "lenet5, batch 1: engines take turns",
        "lenet5, batch 1: memory of netspec",
        "lenet5, batch 1: memory of eager",
        "lenet5, batch 1: memory of eager-channels-last",
    ]
    lines = done.stdout.splitlines()
    assert "GFLOP/s in float32 products" in lines[1]
    assert lines[3] == "lenet5  batch 1, float32, 1 round"
    assert "no ratio: " in lines[-3]  # one round has no quartiles
    assert max(map(len, lines)) <= 100


def test_it_prints_json_and_draws(tmp_path: Path) -> None:
    picture = tmp_path / "chart.png"
    done = run(*QUICK, "--json", "--batch", "1,2", "--plot", picture, "--dtype", "bfloat16")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert [case["batch"] for case in answer["cases"]] == [1, 2]
    assert answer["floor"]["dtype"] == "bfloat16"
    names = [entry["name"] for entry in answer["cases"][0]["engines"]]
    assert names == ["netspec", "eager", "eager-channels-last"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_layers_are_the_steps_of_the_compiled_net_without_peers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "bench", lambda *_, **__: pytest.fail("peers are measured"))
    done = run("lenet5", "--layers", "--rounds", 1)
    assert done.exit_code == 0, done.output
    told = done.stdout.splitlines()
    assert told[3] == "lenet5  batch 1, float32, 1 round"
    assert told[4].split()[:4] == ["stage", "implementation", "ms", "share"]
    names = {line.split()[0] for line in told[5:]}
    assert {"C1", "S2.tanh", "out.softmax", "total"} <= names
    assert max(map(len, told)) <= 100


def test_layers_are_data_for_each_case() -> None:
    done = run("lenet5", "--layers", "--json", "--batch", "1,2", "--rounds", 2)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    one, two = answer["cases"]
    assert (one["batch"], two["batch"]) == (1, 2)
    assert "engines" not in one
    assert one["layers"][0]["stage"] == "C1"
    assert two["layers"][0]["gflop"] == 2 * one["layers"][0]["gflop"]
    assert answer["floor"]["gflop_per_s"] > 0


def test_without_a_gpu_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = run("lenet5", "--device", "cuda")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "--device cuda needs an NVIDIA GPU and a CUDA build of PyTorch" in done.stderr


def test_the_peers_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def bench(specs: object, **options: Any) -> dict[str, Any]:
        asked.update(options)
        return {}

    monkeypatch.setattr(measure, "bench", bench)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert run("lenet5", "--device", "cuda", "--json").exit_code == 0
    assert (asked["device"], asked["against"]) == (
        "cuda",
        ("eager", "eager-channels-last", "inductor"),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--device", "cuda", "--against", "eager,openvino"],
            "openvino does not run on cuda: remove it from --against",
        ),
        (
            ["--against", "eager,jax"],
            "there is no peer 'jax'; there are eager, eager-channels-",
        ),
        (["--batch", "1,none"], "'none' is not a number from 1 to 100,000"),
        (["--batch", "0"], "'0' is not a number from 1 to 100,000"),
        (["--plot", "chart.pdf"], "chart.pdf must end in .png or .svg"),
        (["--plot", "nowhere/chart.png"], "there is no folder nowhere"),
        (["--dtype", "float8"], "'float8' is not one of"),
        (["--layers", "--against", "eager"], "--layers and --against exclude each other"),
        (["--layers", "--plot", "chart.png"], "--layers and --plot exclude each other"),
    ],
)
def test_a_wrong_command_says_what_is_right(arguments: list[str], message: str) -> None:
    done = run("lenet5", *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("\n│", " ").split())


def test_a_wrong_spec_is_told_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: Any, **__: Any) -> None:
        raise AssertionError("it is measured")

    monkeypatch.setattr(measure, "bench", measured)
    done = run("lenet5", "inception_module")
    assert done.exit_code == 1
    assert "NS121" in done.stderr
    assert run("lenet5", "nothing.net").exit_code == 1
    monkeypatch.setattr(bench_chart, "find_spec", lambda name: None)
    done = run("lenet5", "--plot", "chart.png")
    assert done.exit_code == 1
    assert "pip install 'netspec-compiler[plot]'" in done.stderr


def test_a_terminal_sees_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[dict[str, Any]] = []
    shown: list[str] = []

    class Bar:
        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, steps: int, step: str) -> None:
            shown.append(step)

    monkeypatch.setattr(click, "progressbar", lambda **options: (bars.append(options), Bar())[1])
    from netspec.cli.common import progress

    with progress(3) as advance:
        advance("step")
    assert not bars  # no terminal

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress(3) as advance:
        advance("step")
    assert bars[0]["length"] == 3
    assert shown == ["step"]
