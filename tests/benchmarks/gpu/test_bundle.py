"""The bundle: it has all sources, and its runner starts with a Python that has no packages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

from benchmarks.gpu import bundle, collect
from benchmarks.gpu.__main__ import environment, main
from benchmarks.gpu.cache import KERNELS
from benchmarks.gpu.plan import stages
from tests.benchmarks.gpu.test_main import have_ended

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bundle") / "it"
    bundle.copy(made)
    return made


def test_it_has_the_sources_and_no_results(folder: Path) -> None:
    for name in ("netspec/kernels", "netspec/specs", "netspec/grammars"):
        assert (folder / name).is_symlink()
        assert (folder / name).resolve().is_relative_to(folder)
    assert (folder / "specs" / "alexnet.net").exists()
    assert not (folder / "benchmarks" / "results").exists()
    assert not list(folder.rglob("__pycache__"))


def test_its_runner_needs_no_package(folder: Path, tmp_path: Path) -> None:
    """With -S, Python does not see any installed package."""
    command = [sys.executable, "-S", "-m", "benchmarks.gpu", str(tmp_path / "out"), "--list"]
    hidden = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=folder, env=hidden, capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == [s.name for s in stages()]


def test_a_machine_without_a_gpu_is_told_so_in_a_line(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", str(tmp_path / "out")]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    options = {"--work": str(tmp_path / "work"), "--budget": "60"}
    done = subprocess.run(
        [*command, *(word for option in options.items() for word in option)],
        cwd=folder, env=hidden, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "PyTorch does not find a GPU" in done.stdout.splitlines()[0]
    assert done.stderr == ""


def test_stages_get_its_wheel_and_its_kernels(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = folder / "lark-1.3.1-py3-none-any.whl"
    wheel.write_bytes(b"")
    with ZipFile(folder / KERNELS, "w") as archive:
        for key in ("KEY", "KNOWN"):
            for name in ("a.cubin", "a.json", "__grp__a.json"):
                archive.writestr(f"{key}/{name}", "{}")
    known = tmp_path / "work" / "triton" / "KNOWN"  # another bundle had it too
    known.mkdir(parents=True)
    monkeypatch.setattr("benchmarks.gpu.__main__.ROOT", folder)
    variables = environment(tmp_path / "work")
    assert str(wheel) in variables["PYTHONPATH"].split(os.pathsep)
    placed = Path(variables["TRITON_CACHE_DIR"]) / "KEY"
    assert str(placed / "a.cubin") in (placed / "__grp__a.json").read_text(encoding="utf-8")
    assert not list(known.iterdir())


def test_a_folder_without_a_journal_of_a_run_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.jsonl").write_text('{"loss": 1}\n', encoding="utf-8")
    for folder, said in {
        tmp_path: "has a line that is not of a run",
        tmp_path / "results.jsonl": "is not a folder",
    }.items():
        with pytest.raises(SystemExit) as refused:
            main([str(folder)])
        assert refused.value.code == 2
        assert said in capsys.readouterr().err
    assert collect.main([str(tmp_path)], tmp_path / "results") == 1
    assert "has a line that is not of a run" in capsys.readouterr().err


def test_an_unknown_stage_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main([str(tmp_path), "--only", "net"])
    assert refused.value.code == 2
    assert "there is no stage 'net'" in capsys.readouterr().err


COMPILING = """
import os, time
open(os.environ["NUMBERS"], "a").write(f"{os.getpid()}\\n")
time.sleep(600)
"""

MAKING = f"""
import sys
from benchmarks.gpu import bundle
copy = bundle.copy
def sources(folder):
    copy(folder)
    (folder / "benchmarks" / "gpu" / "warm.py").write_text({COMPILING!r})
bundle.copy = sources
bundle.wheel = lambda folder: (folder / "lark-0.whl").touch()
bundle.prepare = lambda folder: None
sys.exit(bundle.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_signal_ends_what_compiles_and_leaves_no_half_of_a_bundle(
    tmp_path: Path, number: signal.Signals
) -> None:
    numbers = tmp_path / "numbers"
    process = subprocess.Popen(
        [sys.executable, "-c", MAKING, str(tmp_path / "made"), "--processes", "2"],
        cwd=ROOT, env=os.environ | {"NUMBERS": str(numbers)}, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if numbers.exists() and numbers.read_text().count("\n") == 2:
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.startswith("interrupted: ")
    started = [int(word) for word in numbers.read_text().split()]
    assert len(started) == 2
    assert have_ended(started)
    assert list(tmp_path.iterdir()) == [numbers]


def test_a_folder_that_is_not_a_bundle_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SystemExit) as refused:
        bundle.main([str(tmp_path)])
    assert refused.value.code == 2
    assert "is not a bundle" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()
