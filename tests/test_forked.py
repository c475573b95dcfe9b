"""Commands in forked processes end as commands in new processes do."""

from __future__ import annotations

import os
import platform
import resource
import signal
from pathlib import Path

from tests.forked import compiling, forked

LONG = "net a\ninput image 8x8x3\nlet a = " + "1+" * 500_000 + "1"
"""A spec that takes seconds to be refused."""


def test_what_is_printed_and_the_exit_code_are_those_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net a\ninput image 8x8x3\na: cnov 3x3\n")
    done = forked().run("check", "lenet5", "a.net", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("lenet5: 7 rows")
    assert "error[NS112]" in done.stderr
    assert forked().run("nothing").returncode == 2
    assert forked().run("--version").returncode == 0


PROGRAM = """
import os, sys
print(__name__, sys.argv, "torch" in sys.modules, os.environ.get("TRITON_INTERPRET"))
if sys.argv[1] == "kill":
    os.kill(os.getpid(), 9)
sys.exit(sys.argv[1])
"""


def test_a_program_ends_as_with_python(tmp_path: Path) -> None:
    done = forked().python("-c", PROGRAM, "why", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "why\n")
    assert done.stdout == f"__main__ ['-c', 'why'] False {os.environ.get('TRITON_INTERPRET')}\n"
    done = compiling().python("-c", PROGRAM, "kill")
    assert done.returncode == -signal.SIGKILL
    done = forked().python("-m", "platform")
    assert (done.returncode, done.stdout) == (0, f"{platform.platform()}\n")
    done = forked().python("-c", "raise ValueError('no')")
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: no\n")


def test_kernels_are_compiled_where_triton_does_not_interpret() -> None:
    code = "import triton; print(triton.knobs.runtime.interpret)"
    assert compiling().python("-c", code).stdout == "False\n"


def test_limits_hold_for_one_command(tmp_path: Path) -> None:
    path = tmp_path / "long.net"
    path.write_text(LONG)
    assert forked().run("check", path, limits={resource.RLIMIT_CPU: 1}).returncode < 0
    few = {resource.RLIMIT_AS: 2**27}
    assert "MemoryError" in forked().run("check", path, limits=few).stderr
    assert forked().run("check", "lenet5").returncode == 0
