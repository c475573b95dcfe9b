"""Where commands write: into standard output, and never over what they read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from netspec.cli import main

SPEC = "net small\ninput image 8x8x3\na: conv 3x3, 4 | relu\nb: fc 2\n"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.net"
    path.write_text(SPEC)
    return path


def piped(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "netspec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz draws")
def test_a_drawing_goes_into_a_pipe_and_nothing_else_does(spec: Path, tmp_path: Path) -> None:
    done = piped("draw", spec, "-o", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert b"small is drawn in /dev/stdout" in done.stderr
    piped("draw", spec, "-o", tmp_path / "small.svg")
    assert done.stdout == (tmp_path / "small.svg").read_bytes()


def test_an_onnx_file_goes_into_a_pipe_and_nothing_else_does(spec: Path) -> None:
    onnx = pytest.importorskip("onnx")
    done = piped("compile", spec, "--format", "onnx", "-o", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert b"/dev/stdout" in done.stderr
    assert b"0.0 MiB" not in done.stderr  # the size of a pipe
    onnx.checker.check_model(onnx.load_from_string(done.stdout))


def test_an_artifact_does_not_go_into_a_pipe(spec: Path) -> None:
    done = CliRunner().invoke(main, ["compile", str(spec), "-o", "/dev/stdout"])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "an artifact is a folder, or a file that ends in .netspec: name one" in done.stderr


def refused(path: Path, *arguments: object) -> None:
    before = path.read_bytes()
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 2, done.output
    assert "which is read: name another file" in " ".join(done.stderr.split())
    assert path.read_bytes() == before


def test_a_spec_is_not_overwritten(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(spec)
    for output in (spec, tmp_path / "link", tmp_path / "." / "small.net"):
        refused(spec, "compile", spec, "--format", "onnx", "-o", output)
    drawing = tmp_path / "small.svg"
    drawing.write_text(SPEC)
    refused(drawing, "draw", drawing, "-o", drawing)
    picture = drawing.rename(tmp_path / "small.png")
    refused(picture, "bench", picture, "--plot", picture)


def test_files_that_a_spec_imports_are_not_overwritten(spec: Path, tmp_path: Path) -> None:
    variant = tmp_path / "variant.net"
    variant.write_text('net variant from "small.net" {\n    drop a\n}\n')
    refused(spec, "compile", variant, "--format", "onnx", "-o", spec)


@pytest.mark.parametrize("option", ["--weights", "--choices"])
def test_other_inputs_are_not_overwritten(option: str, spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"{}")
    refused(path, "compile", spec, option, path, "--format", "onnx", "-o", path)
    (tmp_path / "folder").mkdir()
    inner = path.rename(tmp_path / "folder" / "input")
    refused(inner, "compile", spec, option, inner, "-o", tmp_path / "folder")


def test_files_of_a_run_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run" / "run.json"
    path.parent.mkdir()
    path.write_bytes(b"{}")
    refused(path, "eval", path.parent, "--rows", path)
