"""The command: its plan, what it says without a GPU, and where it stops and goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import kernels
from benchmarks.layers import DIRECTIONS, LayerCase, cases
from benchmarks.results import Results

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kernels.py"
CASES = list(cases(["alexnet"], [1], ["lrn", "conv"], "bf16"))


def test_without_a_gpu_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert kernels.main([]) == 1
    printed, said = capsys.readouterr()
    assert printed == ""
    assert said == (
        "benchmarks/kernels.py needs a CUDA GPU, and PyTorch does not find one; "
        "--plan prints bytes, operations and floors of every layer without a GPU\n"
    )


def test_the_plan_has_a_line_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--plan", "--net", "alexnet", "--batch", "1", "32", "--kind", "lrn", "conv"]
    assert kernels.main(options) == 0
    rates, _, *lines = capsys.readouterr().out.splitlines()
    assert rates.endswith("measured once on one H200: 4.3 TB/s copied, 790 TFLOP/s of products")
    assert len(lines) == 2 * (2 * 2 + 5 * 3 - 1)  # LRN twice, conv thrice, none into the image
    (line,) = (line for line in lines if "lrn 55x55x96" in line and "32 | forward" in line)
    megabytes, gigaflop, intensity, floor = map(float, line.split()[:4])
    assert (megabytes, gigaflop) == (37.171, 0.130)
    assert intensity == 3.5
    assert floor == 8.64  # 4 bytes x 32 x 55 x 55 x 96 at 4.3 TB/s


def test_a_plan_in_another_type_claims_no_product_rate(capsys: pytest.CaptureFixture[str]) -> None:
    kernels.main(["--plan", "--net", "alexnet", "--batch", "1", "--dtype", "fp32"])
    assert capsys.readouterr().out.splitlines()[0].endswith("4.3 TB/s copied")


def test_the_script_runs_from_any_folder_and_plans_without_torch(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv[1:] = ['--plan', '--net', 'vgg16_3', '--batch', '1']\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "conv 224x224x3 3x3/1 pad 1 -> 224x224x64 relu | batch 1 | forward" in done.stdout


def test_an_unknown_net_is_refused() -> None:
    with pytest.raises(SystemExit):
        kernels.main(["--plan", "--net", "lenet"])


def test_a_run_stops_when_its_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]

    def measure(case: LayerCase) -> dict[str, object]:
        now[0] += 4.0
        return {"key": case.key}

    results = list(kernels.sweep(CASES, measure, seconds=10.0, clock=lambda: now[0]))
    assert results == [(case, {"key": case.key}) for case in CASES[:3]]
    assert capsys.readouterr().out == f"{len(CASES) - 3} cases remain: run the same command again\n"


def test_the_next_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    kept = Results(tmp_path / "kernels-x.json", {"gpu": "x"}, "k1")
    names = ["netspec", "bare"]
    assert kernels.missing(CASES, kept, "cases", names) == CASES
    for case in CASES[:4]:
        engines = {"netspec": {}} | ({"bare": {}} if case.layer.kind == "conv" else {})
        kept.put("cases", case.key, {"engines": engines})
    assert kernels.missing(CASES, kept, "cases", names) == CASES[4:]
    assert kernels.missing(CASES, kept, "cases", [*names, "eager"]) == CASES
    assert kernels.missing(CASES, kept, "tuned", names) == CASES


def test_what_was_found_is_told_line_by_line() -> None:
    entry = {"floor_us": 1.5, "engines": {"netspec": {"median_us": 2.0}, "bare": {"error": "no"}}}
    first, *lines = kernels.told(CASES[0], entry)
    assert first == f"{CASES[0].key}: floor 1.5 us"
    assert [line.split() for line in lines] == [
        ["netspec", "median_us", "2.0"],
        ["bare", "error", "no"],
    ]


def test_every_kind_can_be_chosen() -> None:
    assert kernels.parsed(["--kind", *DIRECTIONS]).kind == list(DIRECTIONS)
