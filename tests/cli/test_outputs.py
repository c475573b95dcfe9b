"""Where commands write: into standard output, and never over what they read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from netspec.cli import main
from netspec.cli.outputs import Output
from netspec.files.kinds import KINDS as ALL_KINDS
from netspec.files.kinds import FileKind, kind_of_content
from tests.helpers import subcommands

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
    assert "it is not a folder, nor a file that ends in .netspec: use one of them" in done.stderr


def refused(path: Path, *arguments: object) -> None:
    before = path.read_bytes()
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 2, done.output
    assert "which the command reads: use another name" in " ".join(done.stderr.split())
    assert path.read_bytes() == before


def test_a_spec_is_not_overwritten(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(spec)
    for output in (spec, tmp_path / "link", tmp_path / "." / "small.net"):
        refused(spec, "compile", spec, "--format", "onnx", "-o", output)
        refused(spec, "compile", spec, "--format", "onnx", "-o", output, "--force")
    (tmp_path / "small.onnx").hardlink_to(spec)
    refused(spec, "compile", spec, "-o", tmp_path / "small.onnx", "--force")
    drawing = tmp_path / "small.svg"
    drawing.write_text(SPEC)
    refused(drawing, "draw", drawing, "-o", drawing, "--force")
    picture = drawing.rename(tmp_path / "small.png")
    refused(picture, "bench", picture, "--plot", picture, "--force")


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
    refused(path, "eval", path.parent, "--rows", path, "--force")


def test_files_of_a_data_set_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "data" / "t10k-images-idx3-ubyte"
    path.parent.mkdir()
    path.write_bytes(b"\0\0\x08\x03")
    arguments = "eval", tmp_path / "run", "--data", f"mnist:{path.parent}", "--force", "--rows"
    refused(path, *arguments, path)
    (tmp_path / "rows.csv").hardlink_to(path)
    refused(path, *arguments, tmp_path / "rows.csv")


# ----------------------------------------------------------------------------- files of other kinds

SEEN = (
    *("filters", "activations", "predictions", "occlusion", "invariance", "confusion"),
    *("projection", "top9", "neighbours", "codes", "search"),
)
"""The pictures of nets."""

READS = {
    ("compile", "--weights"), ("compile", "--choices"), ("compile", "--classes"),
    ("run", "--weights"), ("run", "--classes"), ("eval", "--weights"), ("eval", "--classes"),
    ("train", "--resume"), ("train", "--init-from"),
    ("weights", "--from"), ("weights", "--classes"),
    ("see search", "--index"),
    *((f"see {name}", "--weights") for name in SEEN),
    *((f"see {name}", "--classes") for name in SEEN if name != "filters"),
}  # fmt: skip
"""Options that name a file or a folder which is read."""

PLACES = ("FILE", "PATH", "DIR", "RUN", "FOLDER")

WRITES = {
    ("compile", "--output"): ["SPEC", "--target", "sm_80"],
    ("draw", "--output"): ["SPEC"],
    ("bench", "--plot"): ["SPEC", "--device", "cuda"],
    ("eval", "--rows"): ["RUN", "--data", "digits"],
    ("see filters", "--output"): ["SPEC"],
    ("see activations", "--output"): ["SPEC", "none.png"],
    ("see predictions", "--output"): ["SPEC", "none.png"],
    ("see neighbours", "--output"): ["SPEC", "none.png"],
    ("see codes", "--output"): ["SPEC"],
    ("see codes", "--index"): ["SPEC", "--json"],
    ("see search", "--output"): ["SPEC", "none.png", "--index", "none"],
    ("see occlusion", "--output"): ["SPEC", "none.png"],
    ("see invariance", "--output"): ["SPEC", "none.png"],
    ("see curves", "--output"): ["RUN"],
    ("see confusion", "--output"): ["RUN"],
    ("see projection", "--output"): ["SPEC", "none.png"],
    ("see top9", "--output"): ["SPEC"],
    ("see evolution", "--output"): ["RUN"],
    ("report", "--output"): ["SPEC"],
    ("train", "--output"): ["SPEC", "--data", "digits"],
    ("pack", "--output"): ["digits:8"],
    ("weights", "--output"): ["SPEC", "--from", "none.pth"],
    ("compare", "--output"): ["relu-tanh", "--data", "digits"],
}
"""What each command that writes needs beside; with it, those that may write fail later, or not."""

NAMES = {
    ("compile", "--output"): ("a.onnx", "a.pt2", "a.netspec"),
    ("draw", "--output"): ("a.svg", "a.png", "a.pdf", "a.dot"),
    ("bench", "--plot"): ("a.svg", "a.png"),
    ("eval", "--rows"): ("a.csv", "a"),
    ("weights", "--output"): ("a.safetensors",),
    ("report", "--output"): ("a.html", "a.htm"),
    **dict.fromkeys([place for place in WRITES if "see" in place[0]], ("a.png", "a.svg", "a.pdf")),
    ("see codes", "--index"): ("a.safetensors",),
}
"""The files that commands write; others write folders."""

CONTENTS = {
    "spec": SPEC.encode(),
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "JPEG": b"\xff\xd8\xff\xe0",
    "safetensors": b"\x02\0\0\0\0\0\0\0{}",
    "ONNX": b"\x08\x08\x12\x07pytorch",
    "PDF": b"%PDF-1.4",
    "drawing": b'<?xml version="1.0"?><!DOCTYPE svg><svg></svg>',
    "graph": b"digraph small {}",
    "program": b"import torch\n",
    "table": b"name,born\nAda,1815\n",
    "rows": b"example,class,answer,score,place,run\n",
    "page": b"<!doctype html>\n<html><body>mine</body></html>",
    "JSON": b"{}",
    "zip": b"PK\x03\x04",
    "pickle": b"\x80\x02}q\0.",
    "text": b"my thesis",
}


def written() -> Iterator[tuple[str, str]]:
    """All options that name what a command writes."""
    for name, command in subcommands(main):
        for option in command.params:
            if isinstance(option, Output):
                yield name, option.opts[-1]


def arguments_of(command: str, option: str, spec: Path, folder: Path) -> list[str]:
    stand_ins = {"SPEC": str(spec), "RUN": str(folder / "run")}
    return [
        *command.split(),
        *(stand_ins.get(word, word) for word in WRITES[command, option]),
        option,
    ]


def test_each_option_that_names_a_file_is_known_to_read_or_to_write() -> None:
    named = {
        (name, option.opts[-1])
        for name, command in subcommands(main)
        for option in command.params
        if isinstance(option, click.Option)
        and (
            isinstance(option.type, click.Path | click.File)
            or {*(option.metavar or "").split("|")} & {*PLACES}
            or {*option.opts} & {"-o", "--output", "--save", "--out", "--rows", "--plot"}
        )
    }
    assert named == READS | {*WRITES}
    assert {*written()} == {*WRITES}


@pytest.mark.parametrize(("command", "option"), NAMES)
def test_a_file_of_another_kind_is_not_overwritten(
    command: str, option: str, spec: Path, tmp_path: Path
) -> None:
    arguments = arguments_of(command, option, spec, tmp_path)
    for name in NAMES[command, option]:
        path = tmp_path / name
        kept = 0
        for content in CONTENTS.values():
            path.write_bytes(content)
            present = kind_of_content(path)
            if name == "a" and content == CONTENTS["rows"]:
                continue
            if present is not None and path.suffix in present.suffixes:
                continue
            done = CliRunner().invoke(main, [*arguments, str(path)])
            assert done.exit_code == 2
            assert f"cannot write {path}: " in " ".join(done.stderr.split())
            assert "or --force" in " ".join(done.stderr.split())
            assert path.read_bytes() == content
            kept += 1
        assert kept >= len(CONTENTS) - 1
        path.unlink()


@pytest.mark.parametrize(("command", "option"), [place for place in WRITES if place not in NAMES])
def test_a_folder_takes_the_place_of_no_file_and_of_no_other_folder(
    command: str, option: str, spec: Path, tmp_path: Path
) -> None:
    arguments = arguments_of(command, option, spec, tmp_path)
    path = tmp_path / "thesis"
    path.write_text("mine")
    assert CliRunner().invoke(main, [*arguments, str(path)]).exit_code == 1
    assert path.read_text() == "mine"
    chapter = path.rename(tmp_path / "chapter")
    path.mkdir()
    chapter.rename(path / "chapter")
    assert CliRunner().invoke(main, [*arguments, str(path)]).exit_code == 1
    assert os.listdir(path) == ["chapter"]


@pytest.mark.parametrize(("command", "option"), WRITES)
def test_a_name_of_another_kind_is_refused(
    command: str, option: str, spec: Path, tmp_path: Path
) -> None:
    arguments = arguments_of(command, option, spec, tmp_path)
    fitting = {Path(name).suffix for name in NAMES.get((command, option), ())}
    before = os.listdir(tmp_path)
    for suffix in {suffix for kind in ALL_KINDS for suffix in kind.suffixes} - fitting:
        done = CliRunner().invoke(main, [*arguments, str(tmp_path / f"a{suffix}")])
        assert done.exit_code == 2, (suffix, done.output)
    assert os.listdir(tmp_path) == before


def test_the_suffix_says_the_format(spec: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "a.pt2", "a.netspec", "b.ONNX"):
        path = tmp_path / name
        for _ in range(2):
            done = CliRunner().invoke(main, ["compile", str(spec), "-o", str(path)])
            assert done.exit_code == 0, done.output
        kind = kind_of_content(path)
        assert isinstance(kind, FileKind)
        assert path.suffix.lower() in kind.suffixes
    for form, name in (("onnx", "a.pt2"), ("pt2", "a.onnx"), ("artifact", "a.onnx")):
        done = CliRunner().invoke(main, ["compile", str(spec), "--format", form, "-o", name])
        assert done.exit_code == 2
        assert "is the suffix of" in done.stderr


def test_another_kind_is_overwritten_by_force(spec: Path, tmp_path: Path) -> None:
    for path, command in ((tmp_path / "a.onnx", "compile"), (tmp_path / "a.dot", "draw")):
        path.write_text("my thesis")
        arguments = [command, str(spec), "-o", str(path)]
        assert CliRunner().invoke(main, arguments).exit_code == 2
        assert CliRunner().invoke(main, [*arguments, "--force"]).exit_code == 0
        assert CliRunner().invoke(main, arguments).exit_code == 0
        path.write_bytes(b"")
        assert CliRunner().invoke(main, arguments).exit_code == 0
        assert path.read_bytes()
