"""What make installs for a look, and what for the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands(*arguments: str) -> str:
    """What make would run on a machine where nothing is installed."""
    command = ["make", "-n", "-B", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_demo_installs_what_it_needs_and_no_more() -> None:
    demo = commands("demo")
    # scikit-learn has the digits that README trains on; the demo ends with a picture
    assert '--editable ".[demo,plot]"\n' in demo
    assert "[dev]" not in demo
    assert ". .venv/bin/activate" in demo.splitlines()[-2]


def test_the_tests_install_the_rest() -> None:
    assert '--editable ".[dev]"' in commands("test")


def test_pytorch_with_cuda_is_left_to_machines_with_a_gpu() -> None:
    assert '[ -z "" ]' in commands("demo", "GPU=")
    assert '[ -z "yes" ]' in commands("demo", "GPU=yes")
