"""The other programs of the stages: parts in processes, short lists, counters, warming, bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import counters, spread
from benchmarks.gpu.against import LAYERS
from benchmarks.gpu.cache import carry
from benchmarks.gpu.cases import NETS, problems
from benchmarks.gpu.journal import FOLDER, Journal, Log
from benchmarks.gpu.plan import stages
from benchmarks.gpu.short import WAYS, shortened
from benchmarks.gpu.spread import Part
from netspec.backends.cuda import CudaBackend
from netspec.kernels.shipped import FAMILIES
from tests.forked import compiling

ROOT = Path(__file__).parents[3]

DEADLY = """
import os, sys
from pathlib import Path
from benchmarks.gpu.journal import Log
log = Log.of_environment()
for case in log.cases(["a", "deadly", "b"]):
    if case == "deadly":
        os.abort()
    log.result(case, off=0.5)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv("NETSPEC_GPU_STAGE", "smoke")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Log(Journal(tmp_path), "smoke")


def part(name: str, code: str) -> Part:
    return Part(name, (sys.executable, "-c", code))


def test_a_part_that_dies_is_named_and_goes_on_after_the_deadly_case(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [part("right", "print('nothing')"), part("hangs", "import time; time.sleep(600)")]
    monkeypatch.setattr(spread, "WORTH", 0.5)
    assert spread.spread(log, [part("implicit", DEADLY), *others], 3, 8) == 1
    results = {line["case"]: line for line in log.journal.lines("smoke", "result")}
    assert results.keys() == {"a", "b", "deadly", "part hangs"}
    assert "ended its process" in results["deadly"]["error"]
    assert results["part hangs"]["error"] == "did not end in time"
    log_text = (log.journal.folder / "log.txt").read_text()
    assert "--- right\nnothing" in log_text
    assert {path.name for path in log.journal.folder.iterdir()} == {"results.jsonl", "log.txt"}


MEMCHECK = """
print("========= COMPUTE-SANITIZER")
print("========= Invalid __global__ write of size 2 bytes")
print("========= ERROR SUMMARY: 3 errors")
raise SystemExit(7)
"""


def test_errors_of_memcheck_are_wrong_results(log: Log) -> None:
    assert spread.spread(log, [part("lrn", MEMCHECK)], 1, 30) == 1
    (line,) = log.journal.lines("smoke", "result")
    assert line["wrong"] == "memcheck: 3 errors: Invalid __global__ write of size 2 bytes"


def test_memcheck_is_skipped_where_its_tool_does_not_support_the_device(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = "raise SystemExit('Device not supported')"
    monkeypatch.setattr(spread, "SANITIZER", (sys.executable, "-c", refusal))
    monkeypatch.setattr(sys, "argv", ["spread", "memcheck"])
    assert spread.main() == 0
    (line,) = log.journal.lines("smoke", "result")
    assert line["skipped"] == f"{sys.executable} does not work here: Device not supported"
    assert {path.name for path in log.journal.folder.iterdir()} == {"results.jsonl", "log.txt"}


@pytest.mark.parametrize(
    ("tool", "limit"), [("raise SystemExit(3)", 60.0), ("import time; time.sleep(60)", 0.5)]
)
def test_memcheck_is_tried_where_the_trial_fails_for_another_reason(
    log: Log, monkeypatch: pytest.MonkeyPatch, tool: str, limit: float
) -> None:
    monkeypatch.setattr(spread, "SANITIZER", (sys.executable, "-c", tool))
    monkeypatch.setattr(spread, "TRIAL_LIMIT", limit)
    assert spread.lacks_sanitizer(log.journal.folder) == ""


def test_the_trial_of_memcheck_allocates_on_a_gpu() -> None:
    done = subprocess.run([sys.executable, "-c", spread.TRIAL], capture_output=True, check=False)
    assert (done.returncode == 0) == torch.cuda.is_available()


@pytest.mark.parametrize("stage", ["compile", "smoke", "memcheck", "whole"])
def test_the_programs_of_parts_exist(stage: str) -> None:
    every, at_once = spread.parts(stage, 90)
    assert at_once > 1
    for one in every:
        module = one.command[one.command.index("-m") + 1]
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_every_family_is_a_part() -> None:
    assert sorted(spread.HARDEST) == sorted(FAMILIES)
    assert set(spread.NETS) == set(NETS)


def test_the_programs_of_stages_exist() -> None:
    for stage in stages():
        assert stage.command[0] == "-m"
        assert (ROOT / f"{stage.command[1].replace('.', '/')}.py").exists(), stage


@pytest.mark.parametrize("net", NETS)
def test_a_short_list_has_the_libraries_and_another_kernel(net: str) -> None:
    for problem in problems(net, torch.bfloat16, 32).values():
        every = CudaBackend("cpu").implementations(problem)
        few = shortened(problem, every)
        assert len(few) <= WAYS
        assert few[0].name == every[0].name
        names = [one.name for one in few]
        for library in ("aten", "cudnn", "blas"):
            assert (library in names) == (library in {one.name for one in every})
        if any("-" in one.name for one in every):
            assert any("-" in name for name in names)


def test_the_layers_that_are_compared_exist() -> None:
    assert len(LAYERS) == 12
    for net, stage, batch in LAYERS:
        assert stage in problems(net, torch.bfloat16, batch)
    for case in counters.CASES:
        assert case.row in problems(case.size, torch.bfloat16, case.batch)


def test_counters_are_read_from_what_ncu_prints() -> None:
    text = (
        "==PROF== Connected\n"
        '"ID","Kernel Name","gpu__time_duration.sum","lts__throughput.avg.pct_of_peak'
        '_sustained_elapsed"\n'
        '"","","ns","%"\n'
        '"0","implicit_kernel","81,234","45.1"\n'
    )
    assert counters.rows(text) == [
        {"kernel": "implicit_kernel", "duration_ns": "81,234", "l2_percent": "45.1"}
    ]
    assert counters.rows("==ERROR== LibraryNotLoaded") == []


WARM = """
import json, sys
from triton import knobs
knobs.cache.dir = sys.argv[1]
from benchmarks.gpu import warm
from benchmarks.gpu.cases import Case
warm.tasks = lambda: [
    Case("maxpool", "5x4x9", "maxpool 3x3/2 | relu", 1, "bf16", "gradient"),
]
print(json.dumps(warm.warm(90)))
"""


NET = """
from benchmarks.gpu import warm
launched = []
warm._launch = lambda calls: launched.extend(calls)
assert warm._net("lenet5", 32) == ""
print(len(launched))
"""


def test_the_kernels_of_a_net_are_warmed() -> None:
    done = compiling().python("-c", NET)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


@pytest.mark.slow
def test_kernels_of_a_bundle_are_found_elsewhere(tmp_path: Path) -> None:
    """In two processes, as a process keeps what it has compiled, and in another folder."""
    told = []
    for folder in (tmp_path / "cache", tmp_path / "elsewhere"):
        done = compiling().python("-c", WARM, str(folder))
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
        if folder.name == "cache":
            assert carry(told[0]["keys"], folder, tmp_path / "elsewhere") == 2
            shutil.rmtree(folder)
    keys = told[0]["keys"]
    assert told[0] == {"kernels": 2, "compiled": 2, "keys": keys}
    assert told[1] == {"kernels": 2, "compiled": 0, "keys": keys}
    kinds = {path.suffix for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()}
    assert kinds == {".cubin", ".json"}
