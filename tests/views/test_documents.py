from __future__ import annotations

import re

import pytest

from netspec import Net, bundled, load, loads
from netspec.ir.source import Source
from netspec.language.read import BUNDLED, read
from netspec.net import examined
from netspec.views.documents import Documents, counted, lines, markdown

PRINTED = [n for n in bundled() if "\ndocument" in (BUNDLED / f"{n}.net").read_text("utf-8")]

TEXT = """net example "A title"
input image 8x8x3
a: conv 3x3, 4 | relu
f: fc 10
document "a table" {
    a | 8x8x3 | 3x3x3/1, 4 | 6x6x4 | (3*3*3+1)*8  erratum params "4 filters, not 8"
    f | 6x6x4 |            | 10    | 1450
    says "112 | parameters" a.params == 112
    says "a hundred" a.params == 100 erratum "a hundred and twelve"
    says "fast" measured "netspec bench"
    says "right" needs "data"
}
document "a text" {
    says "two layers" conv.stages + fc.stages == 2
}
"""
WRONG = TEXT.replace("1450", "1451").replace(
    'a.params == 100 erratum "a hundred and twelve"', "off"
)


def net_of(text: str) -> Net:
    """The net of a spec whose tables may be wrong."""
    return examined(Source("example.net", text), {})[0]


def shown(text: str) -> list[str]:
    return [line.text for line in lines(net_of(text))]


def test_each_row_stands_twice_and_each_sentence_once() -> None:
    assert shown(TEXT) == [
        "example: A title",
        "",
        "a table",
        "7 printed cells: 6 agree, 1 has an erratum; "
        "4 sentences: 1 holds, 1 is false, 1 is measured, 1 needs data",
        "",
        "row           input  kernel      output  params",
        "a    printed  8x8x3  3x3x3/1, 4  6x6x4   (3*3*3+1)*8 *",
        "     derived  8x8x3  3x3x3/1, 4  6x6x4   112",
        "      erratum params: 4 filters, not 8",
        "f    printed  6x6x4              10      1450",
        "     derived  6x6x4              10      1,450",
        "",
        'holds     "112 | parameters"',
        "          112",
        'false     "a hundred"',
        "          112, not 100; a hundred and twelve",
        'measured  "fast"',
        "          netspec bench",
        'needs     "right"',
        "          data",
        "",
        "a text",
        "1 sentence: 1 holds",
        "",
        'holds     "two layers"',
        "          2",
    ]


def test_what_disagrees_is_marked_and_explained() -> None:
    text = shown(WRONG)
    assert "7 printed cells: 5 agree, 1 has an erratum, 1 disagrees; " in text[3]
    assert "f    printed  6x6x4              10      1451 !" in text
    assert (
        "      disagrees params: 1,451 is printed, and 1,450 derived; 10*144 + 10 = 1,450" in text
    )
    assert 'wrong     "a hundred"' in text


def test_roles_colour_errata_and_errors() -> None:
    roles = {line.text: line.role for line in lines(net_of(WRONG))}
    assert roles["a    printed  8x8x3  3x3x3/1, 4  6x6x4   (3*3*3+1)*8 *"] == "erratum"
    assert roles["f    printed  6x6x4              10      1451 !"] == "error"
    assert roles["     derived  6x6x4              10      1,450"] == "quiet"
    assert roles['wrong     "a hundred"'] == "error"
    assert roles['holds     "112 | parameters"'] == ""


def test_a_spec_without_a_table_says_so() -> None:
    assert [line.text for line in lines(loads("net n\ninput i 3\na: relu"))] == [
        "n",
        "its spec does not contain a printed table",
    ]


@pytest.mark.parametrize("spec", PRINTED)
def test_lines_stay_within_a_hundred_columns(spec: str) -> None:
    net = load(spec)
    texts = [line.text for line in lines(net)]
    assert max(map(len, texts)) <= 100
    assert "  ".join(texts).count("erratum ") >= sum(
        cell.status == "erratum" for d in net.documents for row in d.rows for cell in row.cells
    )


def test_columns_of_wide_characters_stand_below_each_other() -> None:
    texts = [line.text for line in lines(load("inception_module"))]
    (index,) = [i for i, line in enumerate(texts) if "拼接" in line]
    printed, derived = texts[index], texts[index + 1]
    before = printed.index("H/2 x W/2 x (C2*4)")
    assert derived.index("H x W x (4*C2)", 40) == before + len("拼接")


def test_what_a_terminal_would_obey_is_shown_as_dots() -> None:
    text = TEXT.replace("a table", "a \u202e table").replace("not 8", "not \u200b8")
    assert all(line.isprintable() for line in shown(text))


def test_the_data_has_the_documented_keys() -> None:
    data = Documents(net_of(WRONG), ()).as_json()
    assert list(data) == ["name", "documents"]
    first, second = data["documents"]
    assert list(first) == ["source", "rows", "sentences"]
    assert first["source"] == "a table"
    assert [row["label"] for row in first["rows"]] == ["a", "f"]
    assert first["rows"][0]["cells"][3] == {
        "column": "params", "printed": "(3*3*3+1)*8", "derived": "112", "status": "erratum",
        "why": "4 filters, not 8",
    }  # fmt: skip
    assert [cell["column"] for cell in first["rows"][1]["cells"]] == ["input", "output", "params"]
    assert first["rows"][1]["cells"][2]["status"] == "disagree"
    assert first["sentences"][2] == {
        "quote": "fast", "status": "measured", "derived": "", "why": "netspec bench",
        "condition": "",
    }  # fmt: skip
    assert second["rows"] == []


def test_all_documents_are_counted_together() -> None:
    documents = [d for name in PRINTED for d in load(name).documents]
    cells = [c for d in documents for row in d.rows for c in row.cells]
    # 65 full rows; in part, 14 rows of SqueezeNet and 12 and 11 of MobileNet V1 and V2
    assert len(cells) == 65 * 4 + 35 + 15 + 12
    assert counted(documents).startswith("322 printed cells: 297 agree, 25 have errata; ")


def test_the_page_strikes_what_is_false_and_escapes_bars() -> None:
    page = markdown([net_of(TEXT)])
    assert "| a | `8x8x3` | `3x3x3/1, 4` | `6x6x4` | ~~`(3*3*3+1)*8`~~ `112` |" in page
    assert "| f | `6x6x4` |  | `10` | `1450` |" in page
    errata = "- **a, params**: printed `(3*3*3+1)*8`, derived `112`. 4 filters, not 8."
    assert errata in page
    assert "| 112 \\| parameters | holds | `112` |" in page
    assert "| a hundred | false | `112, not 100` a hundred and twelve |" in page
    assert page.count("\n## ") == 1
    assert page.count("\n### ") == 2


def test_products_on_the_page_are_no_emphasis() -> None:
    page = markdown([load("alexnet"), load("lenet5")])
    assert "`290,400, not 253,440` 55\\*48\\*96: one 55 became 48" in page
    assert "| 6\\*(25\\*3+1) + 6" in page
    assert "| `(5*5*16+1)*120` |" in page


def test_the_page_leaves_out_nets_without_documents() -> None:
    assert "## example" not in markdown([loads("net example\ninput i 3\na: relu")])


def test_tables_of_the_page_have_as_many_bars_in_each_line() -> None:
    page = markdown([load(spec) for spec in PRINTED])
    for table in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
        bars = {line.replace("\\|", "").count("|") for line in table.splitlines()}
        assert len(bars) == 1


def test_a_spec_is_examined_from_its_file() -> None:
    net, problems = examined(read("alexnet"), {})
    assert problems.errors == []
    assert len(net.documents) == 4
