from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_no_module_warns_when_it_is_imported() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.imported"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 300
