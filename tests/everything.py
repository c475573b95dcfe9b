"""Run every test, slow ones and all examples included, and keep what came of it: make test-all."""

from __future__ import annotations

import json
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from netspec.files.writing import write_whole
from netspec.timing.machine import machine

RESULT = Path(__file__).parent / "results" / "test-all.json"
EVERYTHING = ("-m", "", "--hypothesis-profile", "all")
OUTCOMES = ("passed", "failed", "error", "skipped")
KEPT = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
"""How a run ends that went to its end."""


class Counts:
    """A plugin that counts what became of the tests."""

    def __init__(self) -> None:
        self.tests: dict[str, int] = {}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        self.tests = {name: len(terminalreporter.stats.get(name, [])) for name in OUTCOMES}


def run(arguments: list[str], result: Path = RESULT) -> int:
    """Run pytest with these arguments beside ``EVERYTHING``, and return its exit code."""
    counts, start = Counts(), monotonic()
    code = pytest.main([*EVERYTHING, *arguments], plugins=[counts])
    if code in KEPT:
        told = {
            "date": date.today().isoformat(),
            "seconds": round(monotonic() - start),
            "tests": counts.tests,
            "machine": machine(),
            "versions": {name: version(name) for name in ("hypothesis", "pytest", "triton")},
        }
        result.parent.mkdir(exist_ok=True)
        write_whole(result, json.dumps(told, indent=1).encode() + b"\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(run(["-n", "2", "--dist", "worksteal"]))
