"""``netspec draw``, with the program that lays pictures out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from netspec import DataError, load, loads
from netspec.cli.draw import DIRECTIONS, STYLES
from netspec.views import draw as styles
from netspec.views.drawing import RANKDIR, rendered
from tests.forked import forked


def draw(*arguments: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    return forked("torch").run("draw", *arguments, environment=environment)


@pytest.fixture
def graphviz() -> None:
    """Graphviz, without which nothing here is tested."""
    if shutil.which("dot") is None:
        pytest.fail("these tests draw: apt install graphviz, or brew install graphviz")


def texts(svg: bytes) -> list[str]:
    """The lines of text in a picture."""
    elements = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()).replace("\u00a0", " ").strip() for text in elements]


@pytest.mark.usefixtures("graphviz")
@pytest.mark.parametrize("name", ["googlenet", "lenet5"])
def test_an_svg_holds_rows_and_sizes(name: str, tmp_path: Path) -> None:
    done = draw(name, "-o", tmp_path / "a.svg")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{name} is drawn in {tmp_path / 'a.svg'}\n"
    assert os.listdir(tmp_path) == ["a.svg"]
    shown = texts((tmp_path / "a.svg").read_bytes())
    graph = load(name).graph
    for row in graph.rows.values():
        assert row.label in shown
        assert str(graph.stage(row.output).shape) in shown


@pytest.mark.usefixtures("graphviz")
def test_the_columns_of_a_net_are_lanes(tmp_path: Path) -> None:
    done = draw("alexnet", "-o", tmp_path / "a.svg")
    assert done.returncode == 0, done.stderr
    shown = texts((tmp_path / "a.svg").read_bytes())
    for label in ("C1", "C3", "F7", "55x55x48", "13x13x192", "fc 500", "lrn 5"):
        assert sum(label in text for text in shown) >= 2, label
    assert shown.count("column 1") == shown.count("column 2") == 11


@pytest.mark.usefixtures("graphviz")
def test_a_pdf_is_a_document_and_landscape_is_wide(tmp_path: Path) -> None:
    sizes = {}
    for direction in ("down", "right"):
        done = draw("lenet5", "-o", tmp_path / "a.pdf", "--direction", direction)
        assert done.returncode == 0, done.stderr
        content = (tmp_path / "a.pdf").read_bytes()
        assert content.startswith(b"%PDF-")
        found = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", content)
        assert found
        sizes[direction] = float(found[1]), float(found[2])
    assert sizes["down"][1] > 2 * sizes["down"][0]
    assert sizes["right"][0] > 2 * sizes["right"][1]


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_volumes_need_no_graphviz(form: str, tmp_path: Path) -> None:
    done = draw("alexnet", "--style", "volumes", "-o", tmp_path / f"a.{form}", path="")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"alexnet is drawn in {tmp_path / f'a.{form}'}\n"
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF-"}[form]
    assert (tmp_path / f"a.{form}").read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "a.dot"], "a.dot is none of *.svg, *.png, *.pdf"),
        (["-o", "a.svg", "--direction", "right"], "--direction is for --style graph"),
    ],
)
def test_what_volumes_do_not_have_exits_with_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = draw("alexnet", *arguments, "--style", "volumes")
    assert done.returncode == 2
    assert said in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_net_that_is_no_chain_has_no_volumes(tmp_path: Path) -> None:
    done = draw("unet", "--style", "volumes", "-o", tmp_path / "a.svg")
    assert done.returncode == 1
    assert done.stderr.startswith("error: unet cannot be drawn as volumes: row dec4 reads")
    assert "leave out --style volumes" in done.stderr
    assert os.listdir(tmp_path) == []


def test_the_choices_are_those_of_the_library() -> None:
    assert set(STYLES) == set(styles.STYLES)
    assert set(DIRECTIONS) == set(RANKDIR)


@pytest.mark.usefixtures("graphviz")
def test_a_png_is_a_picture(tmp_path: Path) -> None:
    done = draw("lenet5", "--output", tmp_path / "a.PNG")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.PNG") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.height > picture.width > 300
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 10


@pytest.mark.usefixtures("graphviz")
def test_hostile_titles_are_drawn_as_they_stand() -> None:
    title = r"a <b>x</b> &amp; \G\N\L \\ 'q' ]]> <!-- {a|b} ü 日本"
    shown = texts(rendered(loads(f'net a "{title}"\ninput image 8x8x3\na: fc 2'), "svg"))
    assert title in shown


@pytest.mark.usefixtures("graphviz")
def test_a_picture_is_the_same_every_time() -> None:
    assert rendered(load("googlenet"), "svg") == rendered(load("googlenet"), "svg")


@pytest.mark.usefixtures("graphviz")
def test_a_picture_too_large_for_a_png_is_an_error() -> None:
    branches = "\n".join(["conv 1x1, 2"] * 200)
    net = loads(f"net wide\ninput image 8x8x3\na: concat {{\n{branches}\n}}")
    assert b"</svg>" in rendered(net, "svg")
    with pytest.raises(DataError, match="wide is too large for a drawing as png"):
        rendered(net, "png")


def test_a_net_too_large_to_be_laid_out_is_an_error() -> None:
    net = loads("net long\ninput image 8x8x3\na1..a2000: relu")
    with pytest.raises(DataError, match="long is too large to be drawn: it has 2,001 stages"):
        rendered(net, "svg")
    assert rendered(net, "dot").endswith(b"}\n")


@pytest.mark.usefixtures("graphviz")
def test_settings_and_their_notes_are_shown(tmp_path: Path) -> None:
    spec = tmp_path / "a.net"
    spec.write_text("net a(n=10)\ninput image 8x8x3\na: fc n -> 10\n")
    done = draw(spec, "-o", tmp_path / "a.svg", "--set", "n=7")
    assert "with these settings: row a is 7, not 10" in done.stdout
    assert "fc 7" in texts((tmp_path / "a.svg").read_bytes())


# ------------------------------------------------------------------------------------- without it


def test_dot_needs_no_program(tmp_path: Path) -> None:
    done = draw("googlenet", "-o", tmp_path / "a.dot", path="")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.dot").read_text(encoding="utf-8").startswith("digraph googlenet {")


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_a_missing_program_is_told_with_its_cure(form: str, tmp_path: Path) -> None:
    done = draw("lenet5", "-o", tmp_path / f"a.{form}", path="")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: a drawing as {form} needs the program `dot` of Graphviz")
    for cure in ("apt install graphviz", "brew install graphviz", "write FILE.dot"):
        assert cure in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_program_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    program.chmod(0o755)
    (tmp_path / "a.svg").write_text("<svg></svg>")
    done = draw("lenet5", "-o", tmp_path / "a.svg", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "error: Graphviz cannot draw lenet5: no memory\n"
    assert (tmp_path / "a.svg").read_text() == "<svg></svg>"


def test_a_program_that_does_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "dot").write_text("no program")
    (tmp_path / "dot").chmod(0o644)
    done = draw("lenet5", "-o", tmp_path / "a.svg", path=str(tmp_path))
    assert done.returncode == 1
    told = "error: the program `dot` of Graphviz does not start: permission denied\n"
    assert done.stderr == told


@pytest.mark.parametrize("name", ["a.jpg", "a", ".svg"])
def test_an_unknown_form_exits_with_2(name: str, tmp_path: Path) -> None:
    done = draw("lenet5", "-o", tmp_path / name)
    assert done.returncode == 2
    assert "is none of *.svg, *.png, *.pdf, *.dot" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "b.dot").mkdir()
    for path in (tmp_path / "none" / "a.dot", tmp_path / "b.dot"):
        done = draw("lenet5", "-o", path)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: cannot write {path}: ")
    assert os.listdir(tmp_path) == ["b.dot"]


def test_a_link_to_itself_and_a_name_too_long_are_errors(tmp_path: Path) -> None:
    (tmp_path / "loop.dot").symlink_to("loop.dot")
    for name in ("loop.dot", f"{'a' * 300}.dot"):
        done = draw("lenet5", "-o", tmp_path / name)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: cannot write {tmp_path / name}: ")
    assert os.listdir(tmp_path) == ["loop.dot"]
    assert (tmp_path / "loop.dot").is_symlink()


def test_a_wrong_spec_is_reported_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net a\ninput image 8x8x3\na: cnov 3x3\n")
    done = draw(tmp_path / "a.net", "-o", tmp_path / "a.dot")
    assert done.returncode == 1
    assert "error[NS112]" in done.stderr
    assert os.listdir(tmp_path) == ["a.net"]
