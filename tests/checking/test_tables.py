"""Printed tables: every row of the documents, every erratum, and what happens without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec import Net, SpecError, bundled, loads
from netspec.checking.tables import COLUMNS, QUANTITIES, Sentence
from netspec.ir.source import Source
from netspec.language import syntax
from netspec.language.diagnostics import Diagnostic, Problems
from netspec.language.parse import parse
from netspec.language.read import BUNDLED
from tests.examples import examples
from tests.helpers import loaded, problems

PRINTED: dict[str, list[list[str]]] = json.loads(
    (Path(__file__).parent / "printed_rows.json").read_text(encoding="utf-8")
)
"""The tables as the documents print them: label, input, kernel, output, parameters."""

TEXTS = {name: (BUNDLED / f"{name}.net").read_text(encoding="utf-8") for name in bundled()}
NUMBER = re.compile(r"(?<![CHW\d])\d+")


class PlacedCell(NamedTuple):
    """A printed cell in the text of a spec."""

    spec: str
    label: str
    column: str
    start: int
    text: str
    erratum: tuple[int, int] | None

    @property
    def place(self) -> tuple[int, int]:
        return place(TEXTS[self.spec], self.start)


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def documents(spec: str) -> list[syntax.Document]:
    statements = parse(Source(spec, TEXTS[spec]), Problems()).statements
    return [s for s in statements if isinstance(s, syntax.Document)]


def whole_erratum(text: str, at: tuple[int, int]) -> tuple[int, int]:
    return text.rindex("erratum", 0, at[0]), at[1]


@cache
def placed_cells() -> list[PlacedCell]:
    """The cells of all bundled tables, found by their bars."""
    placed = []
    for spec, text in TEXTS.items():
        for row in (row for document in documents(spec) for row in document.rows):
            end = text.index("\n", row.label.at[1])
            errata = {e.column.text: whole_erratum(text, e.at) for e in row.errata}
            cells = text[row.label.at[1] : end].partition("erratum")[0]
            start = row.label.at[1]
            for column, piece in zip(("", *COLUMNS), cells.split("|"), strict=True):
                if column:
                    left = start + len(piece) - len(piece.lstrip())
                    placed.append(
                        PlacedCell(
                            spec, row.label.text, column, left, piece.strip(), errata.get(column)
                        )
                    )
                start += len(piece) + 1
    return placed


def cut(spec: str, at: tuple[int, int]) -> list[Diagnostic]:
    """What is wrong with a spec without a part of its text."""
    text = TEXTS[spec]
    return problems(text[: at[0]] + text[at[1] :])


def places(errors: list[Diagnostic]) -> list[tuple[str, tuple[int, int]]]:
    return sorted((d.code, d.span.source.position(d.span.start)) for d in errors)


AGREEING = [cell for cell in placed_cells() if not cell.erratum]
FALSE = [cell for cell in placed_cells() if cell.erratum]


# ------------------------------------------------------------------------- what the specs carry


def test_sixty_five_rows_are_printed() -> None:
    assert {name: len(rows) for name, rows in PRINTED.items()} == {
        "lenet5": 7, "alexnet": 11, "zfnet": 11, "nin": 7, "vgg16_3": 21, "inception_module": 8,
    }  # fmt: skip


@pytest.mark.parametrize("spec", PRINTED)
def test_a_spec_carries_its_table_cell_for_cell(spec: str) -> None:
    carried = [row for document in loaded(spec).documents for row in document.rows]
    assert [[row.label, *(cell.printed for cell in row.cells)] for row in carried] == PRINTED[spec]
    assert {cell.column for row in carried for cell in row.cells} == set(COLUMNS)


@pytest.mark.parametrize("spec", PRINTED)
def test_cells_agree_but_for_the_errata(spec: str) -> None:
    rows = [row for document in loaded(spec).documents for row in document.rows]
    false = [(r.label, c.column) for r in rows for c in r.cells if c.status == "erratum"]
    assert false == [(c.label, c.column) for c in FALSE if c.spec == spec]
    assert {c.status for r in rows for c in r.cells} <= {"agree", "erratum"}


def test_false_cells_are_few_but_for_the_inception_module() -> None:
    errata = [(cell.spec, cell.label, cell.column) for cell in FALSE]
    assert [e for e in errata if e[0] != "inception_module"] == [
        ("alexnet", "F8", "params"),
        ("squeezenet1_0", "conv1", "output"),
        ("squeezenet1_0", "pool1", "output"),
        ("squeezenet1_0", "fire2", "output"),
        ("squeezenet1_0", "fire3", "output"),
        ("squeezenet1_0", "fire4", "output"),
        ("squeezenet1_0", "pool8", "output"),
        ("vgg16_3", "C33", "kernel"),
    ]
    assert len(errata) == 8 + 17


# ------------------------------------------------------------------------- errata taken away


@pytest.mark.parametrize("cell", FALSE, ids=lambda cell: f"{cell.spec}-{cell.label}-{cell.column}")
def test_a_false_cell_without_its_erratum_is_an_error_at_the_cell(cell: PlacedCell) -> None:
    assert cell.erratum is not None
    assert places(cut(cell.spec, cell.erratum)) == [("NS401", cell.place)]


DERIVED = {
    ("conv1", "output"): ("109x109x96", "111x111x96 is printed, and 109x109x96 derived"),
    ("pool1", "output"): ("54x54x96", "55x55x96 is printed, and 54x54x96 derived"),
    ("fire2", "output"): ("54x54x128", "55x55x128 is printed, and 54x54x128 derived"),
    ("fire3", "output"): ("54x54x128", "55x55x128 is printed, and 54x54x128 derived"),
    ("fire4", "output"): ("54x54x256", "55x55x256 is printed, and 54x54x256 derived"),
    ("pool8", "output"): ("13x13x512", "13x12x512 is printed, and 13x13x512 derived"),
    ("F8", "params"): ("4,097,000", "1000*4096 + 1000 = 4,097,000"),
    ("C33", "kernel"): ("3x3x256/1", "the height is printed as 26, and is 3"),
    ("C11", "kernel"): ("1x1xC2/1", "the stride is printed as 2, and is 1"),
    ("C11", "output"): ("H x W x C2", "H/2 x W/2 x C2 is printed, and H x W x C2 derived"),
    ("C21", "input"): ("H x W x C1", "C21 reads H x W x C1 of `map`"),
    ("C21", "kernel"): ("1x1xC2/1", "the stride is printed as 2, and is 1"),
    ("C21", "output"): ("H x W x C2", "H/2 x W/2 x C2 is printed, and H x W x C2 derived"),
    ("C21", "params"): ("C1*C2 + C2", "C2*C1*1*1 + C2 = C1*C2 + C2"),
    ("C22", "output"): ("H x W x C2", "a size has no stride, and /1 is printed"),
    ("C31", "kernel"): ("1x1xC2/1", "the stride is printed as 2, and is 1"),
    ("C31", "output"): ("H x W x C2", "H/2 x W/2 x C2 is printed, and H x W x C2 derived"),
    ("C32", "output"): ("H x W x C2", "a size has no stride, and /1 is printed"),
    ("S41", "kernel"): ("3x3/1", "the stride is printed as 2, and is 1"),
    ("S41", "output"): ("H x W x C1", "H/2 x W/2 x C2 is printed, and H x W x C1 derived"),
    ("C42", "input"): ("H x W x C1", "C42 reads H x W x C1 of `S41.maxpool`"),
    ("C42", "output"): ("H x W x C2", "H/2 x W/2 x C2 is printed, and H x W x C2 derived"),
    ("C42", "params"): ("C1*C2 + C2", "C2*C1*1*1 + C2 = C1*C2 + C2"),
    ("M", "input"): (
        "H x W x (4*C2)",
        "M reads H x W x C2 of `C11.relu`, H x W x C2 of `C22.relu`",
    ),
    ("M", "output"): ("H x W x (4*C2)", "H/2 x W/2 x (4*C2) is printed"),
}


@pytest.mark.parametrize("cell", FALSE, ids=lambda cell: f"{cell.label}-{cell.column}")
def test_a_false_cell_is_told_with_its_arithmetic(cell: PlacedCell) -> None:
    derived, arithmetic = DERIVED[cell.label, cell.column]
    assert cell.erratum is not None
    (error,) = cut(cell.spec, cell.erratum)
    assert error.message == f"{cell.column} of {cell.label}: printed {cell.text}, derived {derived}"
    assert any(arithmetic in note.message for note in error.notes)
    assert f"erratum {cell.column}" in error.help


def false_sentences() -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """Where each false sentence with a condition stands, and its erratum."""
    for spec, text in TEXTS.items():
        for said in (s for document in documents(spec) for s in document.sentences):
            if said.erratum:
                why = text.index(f'"{said.erratum}"', said.at[1])
                at = (why + 1, why + 1 + len(said.erratum) + 1)
                yield spec, place(text, said.at[0]), whole_erratum(text, at)


@pytest.mark.parametrize(("spec", "where", "erratum"), list(false_sentences()))
def test_a_false_sentence_without_its_erratum_is_an_error(
    spec: str, where: tuple[int, int], erratum: tuple[int, int]
) -> None:
    assert places(cut(spec, erratum)) == [("NS404", where)]


def test_a_sentence_without_condition_and_erratum_is_an_error() -> None:
    reasons = [
        (spec, said)
        for spec in TEXTS
        for document in documents(spec)
        for said in document.sentences
        if said.how == "erratum"
    ]
    assert reasons
    for spec, said in reasons:
        start = TEXTS[spec].index("erratum", said.at[1])
        (error,) = cut(spec, (start, TEXTS[spec].index("\n", start)))
        line, _ = place(TEXTS[spec], said.at[0])
        assert (error.code, error.span.line) == ("NS101", line), said.quote.text


# ------------------------------------------------------------------------- cells made false


def changed(text: str, changes: list[tuple[PlacedCell, int, int]]) -> str:
    """A text with numbers added to the n-th number of cells; the last ones first."""
    for cell, n, more in sorted(changes, key=lambda change: -change[0].start):
        match = [*NUMBER.finditer(cell.text)][n]
        start, end = cell.start + match.start(), cell.start + match.end()
        text = f"{text[:start]}{int(match[0]) + more}{text[end:]}"
    return text


@pytest.mark.parametrize("n", range(6))
@pytest.mark.parametrize("spec", PRINTED)
def test_every_number_of_every_cell_is_held_against_what_is_derived(spec: str, n: int) -> None:
    cells = [c for c in AGREEING if c.spec == spec and len(NUMBER.findall(c.text)) > n]
    errors = problems(changed(TEXTS[spec], [(cell, n, 1) for cell in cells]))
    assert {d.code for d in errors} <= {"NS401"}
    message = re.compile(r"(\w+) of (\w+): ")
    told = {(m[2], m[1]) for m in (message.match(d.message) for d in errors) if m}
    assert told == {(cell.label, cell.column) for cell in cells}


NUMBERED = [(cell, n) for cell in AGREEING for n in range(len(NUMBER.findall(cell.text)))]


@examples(60)
@given(st.sampled_from(NUMBERED), st.integers(1, 1000))
def test_one_changed_number_is_one_error_at_its_cell(
    numbered: tuple[PlacedCell, int], more: int
) -> None:
    cell, n = numbered
    errors = problems(changed(TEXTS[cell.spec], [(cell, n, more)]))
    assert places(errors) == [("NS401", cell.place)]


@pytest.mark.parametrize("spec", PRINTED)
def test_errata_on_cells_that_agree_are_errors(spec: str) -> None:
    lines = TEXTS[spec].split("\n")
    cells = [cell for cell in AGREEING if cell.spec == spec]
    for cell in cells:
        lines[cell.place[0] - 1] += f' erratum {cell.column} "it is wrong"'
    errors = problems("\n".join(lines))
    assert [d.code for d in errors] == ["NS402"] * len(cells)
    assert all("is printed right" in d.message for d in errors)
    assert sorted(d.span.line for d in errors) == sorted(cell.place[0] for cell in cells)


# ------------------------------------------------------------------------- one document

NET = """net example(act=relu, norm=on, mode=fancy)
input image 8x8x3
a: conv 3x3, 4 | act
s: maxpool 2x2/2 | lrn 5 if norm
f: fc 10 | softmax
head aux from s: gap | fc 7
"""
ROW = "a | 8x8x3 | 3x3x3/1, 4 | 6x6x4 | 112"


def with_document(*entries: str, attributes: str = "") -> str:
    return NET + f'document "a table"{attributes} {{\n' + "\n".join(entries) + "\n}\n"


def told(*entries: str, attributes: str = "") -> list[tuple[str, str]]:
    return [(d.code, d.help) for d in problems(with_document(*entries, attributes=attributes))]


def sentences(*conditions: str, **parameters: object) -> list[Sentence]:
    text = with_document(*(f'says "so" {condition}' for condition in conditions))
    net: Net = loads(text, **parameters)  # type: ignore[arg-type]
    return list(net.documents[0].sentences)


def test_a_row_that_the_net_has_not_is_an_error() -> None:
    assert told(ROW.replace("a", "aa", 1)) == [("NS111", "did you mean `a`?")]
    assert told(ROW.replace("a", "C9", 1)) == [
        ("NS111", "a printed row has the label of a row of the net")
    ]


def test_errata_are_one_a_cell_and_on_cells_that_are_printed() -> None:
    false = ROW.replace("112", "224")
    assert told(false + ' erratum params "half"') == []
    assert told(false + ' erratum params "half" erratum params "half"') == [
        ("NS131", "write one erratum per cell")
    ]
    assert told('a | | | 6x6x4 | 112 erratum kernel "none"') == [("NS402", "remove it")]


def test_an_erratum_on_no_column_is_an_error_and_a_misspelt_one_excuses() -> None:
    false = ROW.replace("112", "224")
    assert told(false + ' erratum parms "half"') == [("NS403", "did you mean `params`?")]
    assert [code for code, _ in told(false + ' erratum width "half"')] == ["NS401", "NS403"]


def test_cells_end_before_their_errata_and_entries_at_a_semicolon() -> None:
    entries = 'a | 8 x 8 x erratum | | erratum x 6 x 4 | 112  erratum input "no"; f | | | 9 |  # |'
    text = with_document(entries).replace("input image", "let erratum = 6\ninput image", 1)
    assert [(d.code, d.span.text) for d in problems(text)] == [("NS401", "9")]
    cells = [c for row in loads(text.replace("9 |", "10 |")).documents[0].rows for c in row.cells]
    assert [c.printed for c in cells] == ["8 x 8 x erratum", "erratum x 6 x 4", "112", "10"]


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        (", depth=up", "NS132"),
        (", depth=3", "NS132"),
        (", dept=in", "NS132"),
        (", depth=in, depth=in", "NS131"),
    ],
)
def test_the_attribute_of_a_document_is_depth(attributes: str, code: str) -> None:
    assert [c for c, _ in told(ROW, attributes=attributes)] == [code]


def test_depth_says_what_the_third_number_counts() -> None:
    for printed, depth in (("3x3x3/1", "in"), ("3x3x4/1", "out")):
        row = f"a | | {printed} | |"
        other = {"in": "out", "out": "in"}[depth]
        assert told(row, attributes=f", depth={depth}") == []
        assert [c for c, _ in told(row, attributes=f", depth={other}")] == ["NS401"]


def test_cells_may_be_left_out_and_rows_of_heads_be_printed() -> None:
    net = loads(with_document("a | | | | 112", "aux | | | 7 | 4*7+7"))
    rows = net.documents[0].rows
    assert [[cell.column for cell in row.cells] for row in rows] == [
        ["params"],
        ["output", "params"],
    ]


def test_a_document_is_not_examined_where_claims_are_false() -> None:
    text = with_document(ROW.replace("112", "113")).replace("| act", "| act -> 6x6x5")
    assert [d.code for d in problems(text)] == ["NS301"]


def test_cells_and_sentences_are_counted() -> None:
    text = with_document(
        ROW.replace("112", '224 erratum params "half"'),
        'says "so" params == 482',
        'says "so" params == 483 erratum "no"',
        'says "so" measured "netspec bench"',
        'says "so" needs "data"',
    )
    (document,) = loads(text).documents
    counts = {
        status: document.count(status) for status in ("agree", "erratum", "measured", "needs")
    }
    assert counts == {"agree": 4, "erratum": 2, "measured": 1, "needs": 1}


# ------------------------------------------------------------------------- quantities


@pytest.mark.parametrize(
    "condition",
    [
        "params == 482",
        "macs == 6*6*3*3*3*4 + 36*10",
        "neurons == 6*6*4 + 10",
        "a.params == 112",
        "a.macs == 6*6*3*3*3*4",
        "a.neurons == 6*6*4",
        "a.field == 3",
        "a.height == 6",
        "a.width == 6",
        "a.channels == 4",
        "s.params == 0",
        "s.field == 4",
        "f.height == 1 and f.width == 1 and f.channels == 10",
        "a.relu.params == 0",
        "a.relu.neurons == 0",
        "s.lrn.channels == 4",
        "image.height == 8 and image.channels == 3",
        "aux.params == 35",
        "aux.gap.height == 1",
        "conv.stages == 1 and fc.stages == 1 and gap.stages == 0",
        "a.params < f.params and f.params >= 370 and not a.params == 1",
        "act == relu and act != tanh and norm == on and mode == fancy",
        "norm",
        "params ~ 500",
        "500 ~ params",
        "params ~ 482*100/105",
    ],
)
def test_what_a_sentence_can_ask(condition: str) -> None:
    (sentence,) = sentences(condition)
    assert sentence.status == "agree"


def test_height_and_width_are_not_the_same() -> None:
    text = 'net n\ninput i 8x6x3\na: conv 3x5, 2\ndocument "d" { says "so" %s }\n'
    net = loads(text % "a.height == 6 and a.width == 2 and a.field == 3")
    assert net.documents[0].count("agree") == 1


@pytest.mark.parametrize("distance", [-1, 1])
def test_about_is_within_five_percent(distance: int) -> None:
    text = 'net n\ninput i 2x2x1\na: fc %d, bias=off\ndocument "d" { says "so" params ~ 400 }\n'
    assert problems(text % (100 + 5 * distance)) == []
    assert [d.code for d in problems(text % (100 + 6 * distance))] == ["NS404"]


@pytest.mark.parametrize(
    ("condition", "derived"),
    [
        ("a.params == 112", "112"),
        ("a.params != 113", "112, not 113"),
        ("params ~ 500", "482, about 500"),
        ("a.params < 1000", "112 < 1,000"),
        ("a.params/3 > 1", "37.3333 > 1"),
        ("a.height == 6 and a.width == 6", "6 and 6"),
        ("act == relu", "relu"),
        ("norm", "norm"),
    ],
)
def test_a_sentence_shows_its_values(condition: str, derived: str) -> None:
    assert [s.derived for s in sentences(condition)] == [derived]


@pytest.mark.parametrize(
    ("condition", "derived"),
    [
        ("a.params == 113", "112, not 113"),
        ("a.params != 112", "112"),
        ("params ~ 600", "482, not about 600"),
        ("a.params >= 1000", "112, not >= 1,000"),
        ("a.height == 6 and a.width == 7", "6 and 6, not 7"),
    ],
)
def test_a_false_sentence_shows_what_is_derived_instead(condition: str, derived: str) -> None:
    (error,) = problems(with_document(f'says "so" {condition}'))
    assert (error.code, error.message) == ("NS404", f"this does not hold: {derived}")
    assert told(f'says "so" {condition} erratum "no"') == []


def test_an_erratum_on_a_sentence_that_holds_is_an_error() -> None:
    assert told('says "so" a.params == 112 erratum "no"') == [("NS402", "remove the erratum")]


@pytest.mark.parametrize(
    ("condition", "code", "help"),
    [
        ("a.parms == 1", "NS130", "did you mean `params`?"),
        ("a.size == 1", "NS130", f"the quantities are {', '.join(QUANTITIES)}"),
        ("cnov.stages == 1", "NS112", "did you mean `conv`?"),
        ("a.stages == 1", "NS112", "stages of an operator: conv.stages"),
        ("auc.params == 35", "NS111", "did you mean `aux`?"),
        ("s.lnr.params == 1", "NS111", "did you mean `s.lrn`?"),
        ("b.params == 1", "NS111", "`netspec summary --json` lists them"),
        ("paramz == 1", "NS113", "did you mean `params`?"),
        ("act == 5", "NS140", "arithmetic needs numbers"),
        ("params", "NS140", "compare it, as in `act == relu` or `depth > 3`"),
        ("params == 1/0", "NS141", "make sure that the divisor cannot be zero"),
    ],
)
def test_a_sentence_that_asks_what_is_not_derived_is_an_error(
    condition: str, code: str, help: str
) -> None:
    assert told(f'says "so" {condition}') == [(code, help)]


def test_totals_are_known_to_sentences_only() -> None:
    assert [d.code for d in problems(NET + "let n = a.params\n")] == ["NS145"]


def test_sentences_that_are_not_derived_keep_their_reason() -> None:
    text = with_document(
        'says "one" measured "netspec bench"',
        'says "two" needs "data"',
        'says "three" erratum "no"',
    )
    assert [tuple(s) for s in loads(text).documents[0].sentences] == [
        ("one", "measured", "", "netspec bench", ""),
        ("two", "needs", "", "data", ""),
        ("three", "erratum", "", "no", ""),
    ]


# ------------------------------------------------------------------------- settings and symbols

SIZED = """net example(n=4)
input image 8x8x3
a: conv 3x3, n -> 6x6x4
document "a table" {
    a | 8x8x3 | 3x3x3 | 6x6x4 | 113  erratum params "one too many"
    says "so" a.params == 112
    says "more" a.params == 224  erratum "half"
}
"""


def test_documents_that_do_not_apply_under_settings_are_notes() -> None:
    assert loads(SIZED, n=4).notes == ()
    net = loads(SIZED, n=8)
    assert {(d.code, d.severity) for d in net.notes} == {("NS305", "note")}
    messages = [d.message.removeprefix("a claim does not apply with these settings: ")
                for d in net.notes]  # fmt: skip
    assert messages == [
        "row a is 6x6x8, not 6x6x4",
        "output of a: printed 6x6x4, derived 6x6x8",
        "this does not hold: 224, not 112",
        "the erratum is not needed: the sentence holds",
    ]
    assert net.claims == 0


SYMBOLIC = """net example(C2)
input map H x W x C1
a: conv 1x1, C2
s: maxpool 3x3/2, pad=1
document "a table", depth=out {
    a | %s | %s | %s | %s
}
"""
RIGHT = ("H x W x C1", "1 x 1 x C2/1", "H x W x C2", "C1*C2 + C2")


def symbolic(column: int, printed: str) -> list[str]:
    cells = [*RIGHT]
    cells[column] = printed
    return [d.code for d in problems(SYMBOLIC % tuple(cells))]


@pytest.mark.parametrize(
    ("column", "printed", "codes"),
    [
        (0, "H x W x C1", []),
        (0, "H x W x (2*C1 - C1)", []),
        (0, "H x W x C2", ["NS401"]),
        (0, "W x H x C1", ["NS401"]),
        (0, "H/2 x W/2 x C1 (x4)", ["NS401"]),
        (1, "1 x 1 x C1/1", ["NS401"]),
        (1, "1 x 1 x C2/2", ["NS401"]),
        (1, "(1+1-1) x 1 x C2", []),
        (2, "H x W x C2/1", ["NS401"]),
        (3, "(C1+1)*C2", []),
        (3, "(C1+1)*C1", ["NS401"]),
        (3, "(C1+1)*C2 + 0*H", []),
        (3, "(C1+1)*C2 + (H**3 - H) % 6", ["NS144"]),
        (3, "(C3+1)*C2", ["NS113"]),
    ],
)
def test_cells_with_symbols_are_proved_or_refuted(
    column: int, printed: str, codes: list[str]
) -> None:
    assert symbolic(column, printed) == codes


@pytest.mark.parametrize(
    ("condition", "codes"),
    [
        ("a.params == (C1+1)*C2 and a.field == 1", []),
        ("s.channels == C2", []),
        ("a.params == C1*C2", ["NS404"]),
        ("a.params > C1*C2", []),
        ("a.params < C1*C2", ["NS404"]),
        ("a.params > 5", ["NS144"]),
    ],
)
def test_sentences_about_symbols(condition: str, codes: list[str]) -> None:
    text = (SYMBOLIC % RIGHT).replace("\n}", f'\n    says "so" {condition}\n}}')
    assert [d.code for d in problems(text)] == codes


def test_a_false_cell_may_be_right_by_chance_when_symbols_are_set() -> None:
    net = loaded("inception_module", H=28, W=28, C1=64, C2=64)
    assert [d.code for d in net.notes] == ["NS305", "NS305"]
    assert all("is printed right" in d.message for d in net.notes)
    assert loaded("inception_module", H=28, W=28, C1=192, C2=64).notes == ()


def test_a_row_that_settings_remove_is_a_note() -> None:
    document = 'document "it" {\n    a3 | | | |\n    says "three" a3.channels == 2\n}'
    text = f"net n(k=3)\ninput i 4x4x2\na1..a[k]: relu6\n{document}"
    assert not loads(text).notes
    notes = [note.message for note in loads(text, k=2).notes]
    assert any("`a3`, and the net has none" in note for note in notes)
    assert any("there is no row or stage `a3`" in note for note in notes)
    with pytest.raises(SpecError, match="NS111"):
        loads(text.replace("k=3", "k=2"))
