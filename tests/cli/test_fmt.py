"""``netspec fmt`` on real files."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from netspec import bundled
from netspec.language.read import BUNDLED
from tests.forked import forked

UNTIDY = (
    'net  a "t"\r\ninput image 8x8x3\n\n\n\nC1:conv 3x3,4|relu->6x6x4 # a remark\nlonger: fc 10'
)
TIDY = """\
net a "t"
input image 8x8x3

C1:     conv 3x3, 4 | relu   -> 6x6x4   # a remark
longer: fc 10
"""


def run(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return forked().run("fmt", *arguments, stdin=stdin)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "a.net"
    path.write_bytes(UNTIDY.encode())
    return path


def test_a_file_is_formatted_in_place_once(spec: Path) -> None:
    assert run(spec).stdout == f"{spec}: formatted\n"
    assert spec.read_bytes().decode() == TIDY
    assert run(spec).stdout == ""


def test_check_lists_files_and_writes_nothing(spec: Path) -> None:
    done = run("--check", spec, BUNDLED / "alexnet.net")
    assert (done.returncode, done.stdout) == (1, f"{spec}: not formatted\n")
    assert spec.read_bytes() == UNTIDY.encode()


def test_every_bundled_spec_is_formatted() -> None:
    done = run("--check", *(BUNDLED / f"{name}.net" for name in bundled()))
    assert (done.returncode, done.stdout) == (0, "")


def test_diff_shows_what_would_change(spec: Path) -> None:
    done = run("--diff", spec)
    assert done.returncode == 0
    assert "+C1:     conv 3x3, 4 | relu   -> 6x6x4   # a remark\n" in done.stdout
    assert spec.read_bytes() == UNTIDY.encode()
    assert run("--diff", "--check", spec).returncode == 1


def test_standard_input_goes_to_standard_output() -> None:
    assert run("-", stdin=UNTIDY).stdout == TIDY


def test_a_file_with_mistakes_is_left_alone_and_the_others_are_not(spec: Path) -> None:
    bad = spec.with_name("bad.net")
    bad.write_text("net  bad\na conv 3x3\n")
    done = run(bad, spec)
    assert done.returncode == 1
    assert "error[NS101]" in done.stderr
    assert bad.read_text() == "net  bad\na conv 3x3\n"
    assert spec.read_text() == TIDY


def test_permissions_and_links_stay(spec: Path) -> None:
    spec.chmod(0o640)
    link = spec.with_name("link.net")
    link.symlink_to(spec)
    assert run(link).returncode == 0
    assert link.is_symlink()
    assert spec.read_text() == TIDY
    assert stat.S_IMODE(spec.stat().st_mode) == 0o640
    assert os.listdir(spec.parent) in (["a.net", "link.net"], ["link.net", "a.net"])


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path / "none.net", tmp_path)
    assert done.returncode == 1
    assert "there is no such file" in done.stderr
    assert "it is a directory" in done.stderr
