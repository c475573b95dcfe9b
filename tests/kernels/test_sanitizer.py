"""compute-sanitizer over every operator: no access outside of what was allocated."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.forked import forked
from tests.kernels.helpers import gpu, only_on_gpu

SANITIZER = shutil.which("compute-sanitizer")
RUN = [sys.executable, "-m", "tests.kernels.one_of_each"]


@pytest.mark.parametrize("types", [["float16"], pytest.param([], marks=pytest.mark.slow)])
def test_every_operator_runs(types: list[str]) -> None:
    """What the sanitizer is given to watch does run."""
    done = forked("torch").python("-m", "tests.kernels.one_of_each", *types)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("every operator ran\n")


@gpu
@only_on_gpu
@pytest.mark.skipif(SANITIZER is None, reason="compute-sanitizer is not installed")
def test_memcheck_finds_nothing() -> None:
    command = [str(SANITIZER), "--tool", "memcheck", "--error-exitcode", "1", *RUN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "ERROR SUMMARY: 0 errors" in done.stdout
