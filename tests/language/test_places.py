"""Each mistake is shown in its own file and line, and as one error, wherever it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netspec import SpecError, load
from netspec.language.diagnostics import Diagnostic, render
from netspec.language.handbook import codes, explanation

PAGES = [code for code in codes() if explanation(code).wrong]

ROW = re.compile(r"""(\w+(\.\.\w+)?|"[^"]*")( from [\w, ]+)?:""")


def diagnostics(path: Path) -> list[Diagnostic]:
    """Return the errors of a spec in a file, or the warnings and notes of a valid one."""
    try:
        net = load(path)
    except SpecError as error:
        return error.diagnostics
    return [*net.warnings, *net.notes]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def places(found: list[Diagnostic], folder: Path) -> list[tuple[str, str, int, str]]:
    """Return the code, file, line and marked text of each, the file and line as in the JSON."""
    return [
        (d.code, str(Path(data["file"]).relative_to(folder)), data["line"], d.span.text)
        for d, data in ((d, d.as_json()) for d in found)
    ]


# ---------------------------------------------------------------------------------- in the base

OF_THE_BASE_ALONE = {
    "NS008",  # a base without a header is not a net
    "NS104",  # the same
    "NS304", "NS401", "NS402", "NS403", "NS404",  # totals and documents are not inherited
    "NS503",  # a base may have definitions for its own use
}  # fmt: skip
AS_A_NOTE = {"NS144", "NS154", "NS301", "NS302", "NS303"}
"""What a base claims, and its recipe, need not fit the variant: these are notes, NS306."""


@pytest.mark.filterwarnings("ignore::netspec.SpecWarning")
@pytest.mark.parametrize("code", [c for c in PAGES if c not in OF_THE_BASE_ALONE])
def test_a_mistake_in_a_base_is_shown_in_the_base(code: str, tmp_path: Path) -> None:
    own = places(diagnostics(write(tmp_path, "base.net", explanation(code).wrong)), tmp_path)
    assert [(place[0], place[1]) for place in own] == [(code, "base.net")]
    path = write(tmp_path, "main.net", "# a comment\n\nnet main from base\n")
    expected = [("NS306" if code in AS_A_NOTE else code, *own[0][1:])]
    assert places(diagnostics(path), tmp_path) == expected


# --------------------------------------------------------------------------------- in an import

NOT_IN_A_BLOCK = {
    "NS008", "NS009", "NS103", "NS104", "NS105",  # the header
    "NS011", "NS012",  # an import, below
    "NS119", "NS142", "NS144", "NS501",  # the inputs
    # what goes in and out
    "NS150", "NS151", "NS152", "NS153", "NS154", "NS155", "NS156", "NS157", "NS504",
    "NS210",  # the columns of a net
    "NS304", "NS401", "NS402", "NS403", "NS404",  # totals and documents
    "NS503",  # an import may have definitions for its own use
}  # fmt: skip
"""Mistakes in statements that neither a block nor an imported file has."""


def as_a_library(text: str) -> tuple[str, dict[int, int]]:
    """Return a spec with its rows in a block, and the new number of each line."""
    lines = text.splitlines()
    moved: dict[str, list[int]] = {"outside": [], "inside": []}
    where, depth = "outside", 0
    for number, line in enumerate(lines):
        if not depth:
            where = "inside" if ROW.match(line) or line.startswith("let") else "outside"
            where = "skip" if line.startswith(("net", "input")) else where
        if where != "skip":
            moved[where].append(number)
        depth += line.count("{") - line.count("}")
    order = [*moved["outside"], -1, *moved["inside"]]
    texts = ["block mistaken = {" if n < 0 else lines[n].replace("image", "input") for n in order]
    return "\n".join([*texts, "}"]), {n + 1: place for place, n in enumerate(order, 1) if n >= 0}


def of_input(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("input"))


@pytest.mark.filterwarnings("ignore::netspec.SpecWarning")
@pytest.mark.parametrize("code", [c for c in PAGES if c not in NOT_IN_A_BLOCK])
def test_a_mistake_in_a_block_is_shown_in_the_file_of_the_block(code: str, tmp_path: Path) -> None:
    wrong = explanation(code).wrong
    (own,) = places(diagnostics(write(tmp_path, "own.net", wrong)), tmp_path)
    library, moved = as_a_library(wrong)
    use = f"{of_input(wrong)}\nlast: mistaken\n"
    expected = [(code, moved[own[2]], own[3].replace("image", "input"))]
    write(tmp_path, "library.net", library)
    found = diagnostics(write(tmp_path, "main.net", f'net main\nimport "library.net"\n{use}'))
    got = places(found, tmp_path)
    assert [place[1] for place in got] == ["library.net"]
    assert [(place[0], *place[2:]) for place in got] == expected
    found = diagnostics(write(tmp_path, "one.net", f"net one\n{library}\n{use}"))
    assert [(d.code, d.span.line - 1, d.span.text) for d in found] == expected


MAIN = 'net main\nimport "library.net"\ninput image 8x8x3\na: act 4\n'


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("block act(n) = conv 3x3, n\ndefault conv pad=halff", ("NS113", 2, "halff")),
        ("block act(n) = conv 3x3, n\ndefault conv padd=1", ("NS130", 2, "padd")),
        ("block act(n) = conv 3x3/2, n\ndefault conv stride=0", ("NS132", 2, "0")),
        ("block act(n) = conv 3x3, n\ndefault conv groups=3", ("NS132", 2, "3")),
        ("block act(n) = avgpool 2x2, pad=n//4", ("NS133", 1, "avgpool")),
        ("let k = 1/0\nblock act(n) = conv 3x3, n*k", ("NS141", 1, "0")),
        ('import "nothing.net"\nblock act(n) = other n', ("NS001", 1, '"nothing.net"')),
        ('import "/nothing.net"\nblock act(n) = other n', ("NS011", 1, '"/nothing.net"')),
        ('import "vgg11.net"\nblock act(n) = other n', ("NS012", 1, '"vgg11.net"')),
        ('import "main.net"\nblock act(n) = fc n', ("NS010", 1, '"main.net"')),
        ("\n\nblock act(n) = fc n, \x00", ("NS003", 3, "\x00")),
    ],
)
def test_mistakes_of_definitions_and_imports_are_shown_in_an_import(
    library: str, expected: tuple[str, int, str], tmp_path: Path
) -> None:
    write(tmp_path, "library.net", library)
    got = places(diagnostics(write(tmp_path, "main.net", MAIN)), tmp_path)
    assert got == [(expected[0], "library.net", *expected[1:])]


def test_places_in_other_files_are_shown_with_their_file(tmp_path: Path) -> None:
    write(tmp_path, "library.net", "# blocks\nblock act(n) = concat { identity; conv 3x3, n }\n")
    path = write(tmp_path, "main.net", MAIN.replace("a: act", "p: maxpool 2x2\na: act"))
    (error,) = found = diagnostics(path)
    text = render(found).replace(f"{tmp_path}/", "")
    assert text.startswith("error[NS204]: concat inputs differ in height: 7 and 5\n")
    assert " --> library.net:2:16\n" in text
    assert "height 7 comes from `p.maxpool`, line 4: 8-2 + 1\n --> main.net:4:4\n" in text
    assert "in block `act`, called on line 5\n --> main.net:5:4\n" in text
    notes = [note.replace(f"{tmp_path}/", "") for note in error.as_json()["notes"]]
    assert notes[0] == "height 7 comes from `p.maxpool`, line 4: 8-2 + 1 (main.net:4)"
    assert notes[-1] == "in block `act`, called on line 5 (main.net:5)"
    write(tmp_path, "library.net", "# blocks\nblock act(n) = conv 3x3, n\n")
    path = write(tmp_path, "main.net", MAIN.replace("a: act 4", "a: concat { identity; act 4 }"))
    (error,) = diagnostics(path)
    assert error.help.replace(f"{tmp_path}/", "") == (
        "set pad=1 on `a.b2`, line 2 of library.net, to make it 8"
    )
