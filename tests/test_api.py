"""Functions named after the commands: the same results, as objects."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

import netspec
from netspec import DataError, SpecError
from netspec.cli import main

WRONG = "net wrong\ninput image 8x8x3\na: conv 3x3, 4 -> 5x5x4\n"
BROKEN = "net broken\ninput image 8x8x3\na: cnov 3x3\n"
SET = "net set(n=10)\ninput image 8x8x3\na: fc n -> 10\n"
IDLE = "net idle\ninput image 8x8x3\na: fc 10 | relu | relu\n"


def printed(*arguments: object) -> str:
    """What a command prints, standard error included."""
    return CliRunner().invoke(main, list(map(str, arguments))).output


def printed_json(*arguments: object) -> Any:
    return json.loads(CliRunner().invoke(main, [*map(str, arguments), "--json"]).stdout)


def as_printed(data: object) -> Any:
    """Data as it is after being printed and read as JSON."""
    return json.loads(json.dumps(data, default=str))


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Returns a function that writes a spec into the current folder, and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("mine.net").write_text(text, encoding="utf-8")
        return "mine.net"

    return write


# ------------------------------------------------------------------------------------------ check


@pytest.mark.parametrize("text", [WRONG, BROKEN, SET, IDLE])
def test_check_returns_what_the_command_prints(text: str, spec: Callable[[str], str]) -> None:
    name = spec(text)
    settings = {"n": 5} if text == SET else {}
    result = netspec.check(name, settings=settings)
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    assert f"{result!r}\n" == f"{result}\n" == printed("check", name, *options)
    assert as_printed(result.as_json()) == printed_json("check", name, *options)


def test_check_does_not_raise_for_mistakes(spec: Callable[[str], str]) -> None:
    wrong = netspec.check(spec(WRONG))
    assert not wrong
    assert [error.code for error in wrong.errors] == ["NS301"]
    assert wrong.net is not None  # its shapes are known, only the claim is wrong
    assert wrong.net["a"].output == (6, 6, 4)
    broken = netspec.check(spec(BROKEN))
    assert broken.net is None
    assert [error.code for error in broken.errors] == ["NS112"]
    missing = netspec.check("no/such.net")
    assert [error.code for error in missing.errors] == ["NS001"]


def test_check_separates_warnings_and_notes(spec: Callable[[str], str]) -> None:
    idle = netspec.check(spec(IDLE))
    assert idle
    assert (
        [d.severity for d in idle.diagnostics] == ["warning"] == [d.severity for d in idle.warnings]
    )
    applied = netspec.check(spec(SET), settings={"n": 5})
    assert applied
    assert [note.code for note in applied.notes] == ["NS305"]


def test_check_takes_many_specs_and_nets() -> None:
    one, two = netspec.check(["lenet5", netspec.load("alexnet")])
    assert f"{one}\n{two}\n" == printed("check", "lenet5", "alexnet")
    assert one.net is not None
    assert two.net is not None
    assert [one.net.name, two.net.name] == ["lenet5", "alexnet"]


def test_a_net_with_wrong_claims_is_checked_again(spec: Callable[[str], str]) -> None:
    net = netspec.check(spec(WRONG)).net
    assert net is not None
    assert [error.code for error in netspec.check(net).errors] == ["NS301"]


# ------------------------------------------------------------------------------- diff and document


def test_diff_returns_what_the_command_prints() -> None:
    difference = netspec.diff("vgg16_3", netspec.load("vgg16_1"))
    assert f"{difference}\n" == printed("diff", "vgg16_3", "vgg16_1")
    assert as_printed(difference.as_json()) == printed_json("diff", "vgg16_3", "vgg16_1")
    assert netspec.diff("lenet5", "lenet5").is_empty


def test_document_returns_what_the_command_prints() -> None:
    documents = netspec.document("vgg16_3")
    assert f"{documents}\n" == printed("document", "vgg16_3")
    assert as_printed(documents.as_json()) == printed_json("document", "vgg16_3")
    assert documents._repr_markdown_().startswith("\n## vgg16_3\n")
    assert not documents.errors


def test_document_lists_cells_that_disagree(spec: Callable[[str], str]) -> None:
    name = spec('net a\ninput i 3\na: fc 2\ndocument "t" {\n    a | 3 |  | 4 |\n}\n')
    (documents,) = netspec.document([name])
    assert len(documents.errors) == 1
    assert f"{documents}\n" == printed("document", name)


# ------------------------------------------------------------------------------------------- draw


def without_date(path: Path) -> bytes:
    """Graphviz writes the time into a PDF."""
    return re.sub(rb"/CreationDate \([^)]*\)", b"", path.read_bytes())


def test_draw_writes_what_the_command_writes(tmp_path: Path) -> None:
    for form in ("svg", "png", "pdf", "dot"):
        drawing = netspec.draw("lenet5", tmp_path / f"a.{form}")
        printed("draw", "lenet5", "-o", tmp_path / f"b.{form}")
        ours, theirs = (without_date(tmp_path / f"{name}.{form}") for name in "ab")
        assert ours == theirs
    assert (tmp_path / "a.dot").read_text(encoding="utf-8") == drawing.source
    assert drawing._repr_svg_() == (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert repr(drawing) == "<Drawing of lenet5, 12 stages>"


def test_a_net_is_drawn_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = netspec.load("lenet5").drawing()
    assert isinstance(drawing, netspec.Drawing)
    assert drawing._repr_svg_().rstrip().endswith("</svg>")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match="apt install graphviz"):
        netspec.load("lenet5").drawing()._repr_svg_()


@pytest.mark.parametrize("style", ["graph", "volumes"])
def test_drawings_are_shown_inline(style: str) -> None:
    drawing = netspec.draw("alexnet", style=style)
    root = ElementTree.fromstring(drawing._repr_svg_().encode())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {"width", "height", "viewBox"} <= set(root.attrib)
    assert netspec.load("alexnet").drawing(style)._repr_svg_() == drawing._repr_svg_()


def test_volumes_are_what_the_command_writes(tmp_path: Path) -> None:
    for form in ("svg", "png", "pdf"):
        drawing = netspec.draw("alexnet", tmp_path / f"a.{form}", style="volumes")
        printed("draw", "alexnet", "--style", "volumes", "-o", tmp_path / f"b.{form}")
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()
    assert isinstance(drawing, netspec.Volumes)
    assert repr(drawing) == "<Drawing of alexnet, 16 volumes>"
    with pytest.raises(ValueError, match=r"a.dot is none of \*.svg, \*.png, \*.pdf"):
        drawing.save(tmp_path / "a.dot")


def test_a_drawing_goes_in_the_direction_that_is_asked_for() -> None:
    net = netspec.load("lenet5")
    assert "rankdir=LR" in net.drawing(direction="right").source
    assert net.drawing(direction="down").source == net.drawing().source
    with pytest.raises(ValueError, match="did you mean `right`"):
        net.drawing(direction="rigth")
    with pytest.raises(ValueError, match="did you mean `volumes`"):
        net.drawing("volume")
    with pytest.raises(ValueError, match="from left to right"):
        net.drawing("volumes", "right")


def test_a_drawing_replaces_no_file_of_another_kind(tmp_path: Path) -> None:
    drawing = netspec.draw("lenet5")
    (tmp_path / "a.dot").write_text("text")
    with pytest.raises(DataError, match="use another name, or force=True"):
        drawing.save(tmp_path / "a.dot")
    assert (tmp_path / "a.dot").read_text() == "text"
    drawing.save(str(tmp_path / "a.dot"), force=True)
    assert (tmp_path / "a.dot").read_text(encoding="utf-8") == drawing.source
    with pytest.raises(ValueError, match=r"a\.jpg is none of \*\.svg, \*\.png, \*\.pdf"):
        netspec.draw("lenet5", tmp_path / "a.jpg")


# ---------------------------------------------------------------------------------------------- fmt


def test_fmt_formats_a_text_or_a_file(spec: Callable[[str], str]) -> None:
    text = "net  a\ninput image 8x8x3\na:fc 10\n"
    tidy = "net a\ninput image 8x8x3\na: fc 10\n"
    formatted = netspec.fmt(text)
    assert repr(formatted) == formatted.text == tidy
    assert formatted.is_changed
    with pytest.raises(ValueError, match="was not read from a file"):
        formatted.save()
    path = Path(spec(text))
    (formatted,) = netspec.fmt([path])
    assert formatted.diff() == printed("fmt", "--diff", path)
    assert path.read_text() == text  # nothing is written before save
    formatted.save()
    assert path.read_text() == tidy
    assert not netspec.fmt(path).is_changed
    assert netspec.fmt(path).diff() == ""
    with pytest.raises(SpecError):
        netspec.fmt(BROKEN.replace(":", ""))


# ---------------------------------------------------------------------------------- explain and ops


def test_explain_returns_what_the_command_prints() -> None:
    assert f"{netspec.explain('ns112')}\n" == printed("explain", "NS112")
    assert f"{netspec.explain()}\n" == printed("explain")
    assert netspec.explain("NS112").right.startswith("net ")
    with pytest.raises(ValueError, match="there is no page NS999; "):
        netspec.explain("NS999")


def test_ops_returns_what_the_command_prints() -> None:
    assert f"{netspec.ops('conv')}\n" == printed("ops", "conv")
    assert f"{netspec.ops()}\n" == printed("ops")
    assert as_printed([op.as_json() for op in netspec.ops()]) == printed_json("ops")
    with pytest.raises(ValueError, match="there is no operator cnov; did you mean `conv`"):
        netspec.ops("cnov")


# ------------------------------------------------------------------------------------- wrong types

FUNCTIONS: dict[str, Callable[[Any], object]] = {
    "check": netspec.check,
    "diff, first": lambda value: netspec.diff(value, "lenet5"),
    "diff, second": lambda value: netspec.diff("lenet5", value),
    "document": netspec.document,
    "draw": netspec.draw,
    "draw, path": lambda value: netspec.draw("lenet5", value),
    "draw, style": lambda value: netspec.draw("lenet5", style=value),
    "draw, direction": lambda value: netspec.draw("lenet5", direction=value),
    "draw, settings": lambda value: netspec.draw("inception_module", settings={"C1": value}),
    "Drawing": netspec.Drawing,
    "Drawing.save": lambda value: netspec.draw("lenet5").save(value),
    "Drawing.save, force": lambda value: netspec.draw("lenet5").save("a.dot", force=value),
    "Volumes": netspec.Volumes,
    "explain": netspec.explain,
    "fmt": netspec.fmt,
    "load": netspec.load,
    "load, settings": lambda value: netspec.load("inception_module", C1=value),
    "loads": netspec.loads,
    "loads, name": lambda value: netspec.loads(SET, value),
    "Net[]": lambda value: netspec.load("lenet5")[value],
    "ops": netspec.ops,
}
VALUES = {
    "None": None,
    "bytes": b"lenet5",
    "int": 3,
    "list": [3],
    "dict": {},
    "module": torch.nn.ReLU(),
    "package": types,
}
ACCEPTED = {
    ("draw, direction", "None"), ("draw, path", "None"), ("draw, settings", "int"),
    ("explain", "None"), ("load, settings", "int"), ("ops", "None"),
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_wrong_type_is_a_type_error_that_says_what_is_expected(function: str, value: str) -> None:
    if (function, value) in ACCEPTED:
        FUNCTIONS[function](VALUES[value])
        return
    with pytest.raises(TypeError, match=r"must be .+, not (None|an object of type \w+)$"):
        FUNCTIONS[function](VALUES[value])


def test_settings_of_a_net_are_refused() -> None:
    net = netspec.load("lenet5")
    for function in (netspec.check, netspec.document, netspec.draw):
        with pytest.raises(TypeError, match="load its spec again to set n"):
            function(net, settings={"n": 3})


# ------------------------------------------------------------------------------------------- names


def test_the_names_of_the_package_are_the_public_ones() -> None:
    assert dir(netspec) == sorted([*netspec.__all__, "__version__"])
    assert list(netspec._MODULES) == sorted(netspec._MODULES)
    assert sorted([*netspec._MODULES, *netspec._PACKAGES]) == netspec.__all__


def test_the_functions_import_no_torch() -> None:
    program = (
        "import sys, netspec\n"
        "netspec.check('lenet5'), netspec.diff('lenet5', 'lenet5_rbf')\n"
        "netspec.document('lenet5'), netspec.draw('lenet5').source, netspec.ops('conv')\n"
        "netspec.fmt('lenet5'), netspec.explain('NS112'), netspec.load('googlenet')['3a'].rows\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_all_names_can_be_imported_at_once() -> None:
    names: dict[str, Any] = {}
    exec("from netspec import *", names)
    assert set(netspec.__all__) <= set(names)
    assert names["check"] is netspec.check
