"""The suite's parts: quick.txt names some of each folder, everything.py runs all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests import everything

TESTS = Path(__file__).parent
ROOT = TESTS.parent

WITHOUT = {"packaging", "kernels/fc", "kernels/lrn", "kernels/pool", "pretrained/peers"}
"""Folders of which no file is quick."""


def test_the_quick_part_has_something_of_every_folder() -> None:
    named = [ROOT / line for line in (TESTS / "quick.txt").read_text().split()]
    assert [path for path in named if not path.exists()] == []
    folders = {path if path.is_dir() else path.parent for path in named}
    assert {path.parent for path in TESTS.rglob("test_*.py")} - folders == {
        TESTS / name for name in WITHOUT
    }


EXAMPLE = """
import pytest
from hypothesis import given, settings, strategies

@pytest.mark.slow
def test_slow(): pass

def test_profile(): assert settings().max_examples == 100

@pytest.mark.skip
def test_skipped(): pass

def test_failing(): assert False
"""


def test_everything_is_run_and_what_came_of_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(EXAMPLE)
    result = tmp_path / "results" / "all.json"
    program = f"""
from pathlib import Path
from tests.everything import run
arguments = ["-n0", "-p", "no:cacheprovider", "-p", "tests.conftest"]
raise SystemExit(run([*arguments, {str(tmp_path)!r}], Path({str(result)!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(result.read_bytes())["tests"] == {
        "passed": 2,
        "failed": 1,
        "error": 0,
        "skipped": 1,
    }
    assert not everything.passed(result, "")


def test_the_parts_of_everything_have_every_test_once() -> None:
    tests = []
    for _, paths in everything.parts():
        for path in paths:
            tests += [*path.rglob("test_*.py")] if path.is_dir() else [path]
    assert sorted(tests) == sorted(TESTS.rglob("test_*.py"))


def test_a_part_that_passed_is_not_run_again_until_a_file_changes(tmp_path: Path) -> None:
    path, tests = tmp_path / "part.json", dict.fromkeys(everything.OUTCOMES, 0)
    assert not everything.passed(path, "same")
    everything.write(path, {"files": "same", "seconds": 3, "tests": tests | {"skipped": 1}})
    assert everything.passed(path, "same")
    assert not everything.passed(path, "other")
    for outcome in ("failed", "error"):
        everything.write(path, {"files": "same", "seconds": 3, "tests": tests | {outcome: 1}})
        assert not everything.passed(path, "same")


def test_results_of_parts_are_added() -> None:
    one = {"files": "", "seconds": 3, "tests": {"passed": 5, "failed": 0, "error": 0, "skipped": 1}}
    two = {"files": "", "seconds": 4, "tests": {"passed": 1, "failed": 2, "error": 1, "skipped": 0}}
    told = everything.together([one, two])
    assert told["seconds"] == 7
    assert told["tests"] == {"passed": 6, "failed": 2, "error": 1, "skipped": 1}
