"""Every diagnostic: its page, its example, its mending, and its text to the letter."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import netspec
from netspec import SpecError, SpecWarning, load, loads
from netspec.ir.source import Source
from netspec.language import syntax
from netspec.language.diagnostics import Problems, render
from netspec.language.handbook import codes, explanation
from netspec.language.limits import MAX_BYTES, MAX_DEPTH
from netspec.language.parse import parse

NOTES = ("NS305", "NS306")
WARNINGS = ("NS501", "NS502", "NS503", "NS504")
GOLDEN = Path(__file__).parent / "golden"
PACKAGE = Path(netspec.__file__).parent


def tree_of(text: str) -> tuple[syntax.Statement, ...]:
    return parse(Source("example.net", text), Problems()).statements


def from_bytes(data: bytes) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        path = folder / "example.net"
        path.write_bytes(data)
        return load(path)

    return read


def in_a_circle(folder: Path) -> object:
    (folder / "example.net").write_text(
        'net example\nimport "blocks.net"\ninput image 8x8x3\na: relu\n'
    )
    (folder / "blocks.net").write_text('import "example.net"\nblock b = relu\n')
    return load(folder / "example.net")


WITHOUT_AN_EXAMPLE: dict[str, Callable[[Path], object]] = {
    "NS001": lambda folder: load(folder / "example.net"),
    "NS002": from_bytes(b"net example\ninput image 8x8x3\na: fc 10 # \xe9t\xe9"),
    "NS003": from_bytes(b"net example\ninput image 8x8x3\na: fc\x00 10"),
    "NS004": from_bytes(b"#" * (MAX_BYTES + 1)),
    "NS006": lambda folder: loads(
        "net example\nlet a = " + "(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1),
        "example.net",
    ),
    "NS010": in_a_circle,
    "NS121": lambda folder: loads(
        "net example(classes)\ninput map H x 8 x 3\na: fc classes", "example.net"
    ).require_numbers(),
    "NS120": lambda folder: loads(
        "net example(act=relu)\ninput image 8x8x3\na: act", "example.net", atc="tanh"
    ),
}


@pytest.mark.parametrize("code", [c for c in codes() if c not in NOTES + WARNINGS])
def test_each_code_has_an_example_whose_text_is_as_pinned(code: str, tmp_path: Path) -> None:
    page = explanation(code)
    assert bool(page.wrong) != (code in WITHOUT_AN_EXAMPLE)
    fail = WITHOUT_AN_EXAMPLE.get(code, lambda _: loads(page.wrong, "example.net"))
    with pytest.raises(SpecError) as caught:
        fail(tmp_path)
    assert [d.code for d in caught.value.diagnostics] == [code]
    text = str(caught.value).replace(f"{tmp_path}/", "")
    assert text + "\n" == (GOLDEN / f"{code}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", WARNINGS)
def test_each_warning_has_an_example_whose_text_is_as_pinned(code: str) -> None:
    with pytest.warns(SpecWarning) as caught:
        net = loads(explanation(code).wrong, "example.net")
    assert [(d.code, d.severity) for d in net.warnings] == [(code, "warning")]
    assert [str(warning.message) for warning in caught] == [render(net.warnings)]
    golden = (GOLDEN / f"{code}.txt").read_text(encoding="utf-8")
    assert render(net.warnings) + "\n" == golden


@pytest.mark.parametrize("code", [c for c in codes() if explanation(c).right])
def test_the_mended_example_is_a_net(code: str) -> None:
    net = loads(explanation(code).right, "example.net")
    assert net.graph.outputs
    assert net.warnings == ()


def test_a_claim_under_other_settings_is_a_note() -> None:
    net = loads("net example(n=10)\ninput image 8x8x3\na: fc n -> 10", "example.net", n=12)
    assert [(d.code, d.severity) for d in net.notes] == [("NS305", "note")]
    golden = (GOLDEN / "NS305.txt").read_text(encoding="utf-8")
    assert render(net.notes) + "\n" == golden


def test_a_false_claim_of_the_base_is_a_note() -> None:
    text = "net example from lenet5 {\n    F6: fc 100 | tanh\n}"
    net = loads(text, "example.net")
    assert [(d.code, d.severity) for d in net.notes] == [("NS306", "note")]
    golden = (GOLDEN / "NS306.txt").read_text(encoding="utf-8")
    assert render(net.notes) + "\n" == golden


def test_the_handbook_has_a_page_for_each_code_in_the_program_and_no_other() -> None:
    used = {
        code
        for path in PACKAGE.rglob("*.py")
        for code in re.findall(r"\bNS\d{3}\b", path.read_text(encoding="utf-8"))
    }
    assert used == set(codes())


@pytest.mark.parametrize("code", codes())
def test_every_diagnostic_names_a_place_and_a_way_out(code: str) -> None:
    golden = (GOLDEN / f"{code}.txt").read_text(encoding="utf-8")
    assert re.search(r"--> \S.*:\d+:\d+$", golden, flags=re.MULTILINE)
    assert re.search(r"^help: \S", golden, flags=re.MULTILINE)


@pytest.mark.filterwarnings("ignore::netspec.SpecWarning")
def test_the_syntax_page_shows_a_net_that_uses_the_language_on_one_screen() -> None:
    page = explanation("syntax")
    net = loads(page.example, "example.net")
    assert (net.claims, net.warnings) == (3, ())
    for line in re.findall(r"`(net [^`]*)`", page.text):
        assert line.startswith("net mine from small")
    lines = page.text.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 88
    statements = {type(s).__name__ for s in tree_of(page.example)}
    assert statements == {
        "Net", "Default", "Let", "Block", "Input", "Row", "Output", "Prepare", "Train"
    }  # fmt: skip


@pytest.mark.parametrize("code", codes())
def test_each_page_has_a_title_and_prose(code: str) -> None:
    page = explanation(code)
    assert page.text.startswith(f"# {code}: {page.title}")
    assert len(page.text.splitlines()) > 2
    assert "```" not in page.text
