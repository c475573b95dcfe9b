"""Commands in forked processes end as commands in new processes do."""

from __future__ import annotations

import resource
from pathlib import Path

from tests.forked import forked

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


def test_limits_hold_for_one_command(tmp_path: Path) -> None:
    path = tmp_path / "long.net"
    path.write_text(LONG)
    assert forked().run("check", path, limits={resource.RLIMIT_CPU: 1}).returncode < 0
    few = {resource.RLIMIT_AS: 2**27}
    assert "MemoryError" in forked().run("check", path, limits=few).stderr
    assert forked().run("check", "lenet5").returncode == 0
