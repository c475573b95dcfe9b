from __future__ import annotations

import pytest

from netspec import loads
from netspec.ir.columns import exchanging, parts
from tests.helpers import codes_of_rows, load_rows, loaded, problems

HEADER = "net example\ninput image 8x8x12\n"


def test_a_net_without_columns_has_none() -> None:
    assert load_rows("a: conv 3x3, 5").graph.columns is None


@pytest.mark.parametrize(
    ("number", "row", "fits"),
    [
        (2, "conv 3x3, 6, groups=2", True),
        (2, "conv 3x3, 12, groups=4", True),
        (2, "conv 3x3, 6", True),
        (2, "conv 3x3, 5", False),
        (2, "conv 3x3, 6, groups=3", False),
        (3, "conv 3x3, 6, groups=3", True),
        (4, "conv 3x3, 4, groups=2", False),
        (1, "conv 3x3, 6, groups=3", True),
        (2, "local 3x3, 5", False),
        (2, "lrn 5, groups=2", True),
        (2, "lrn 5, groups=3", False),
        (2, "lrn 5", True),
        (2, "fc 5", True),
    ],
)
def test_each_column_holds_whole_groups_and_equal_filters(
    number: int, row: str, fits: bool
) -> None:
    expected = [] if fits else ["NS210"]
    assert codes_of_rows(f"columns {number}\na: {row}", HEADER) == expected


@pytest.mark.parametrize(
    ("row", "stays"),
    [
        ("upsample 2, by=nearest", True),
        ("adaptive_avgpool 3", True),
        ("gmp", True),
        ("lrn_within 3, alpha=0.1", True),
        ("maxpool 2x2, dilation=2", True),
        ("part 1, of=2", False),
        ("shuffle 2", False),
        ("deconv 2x2/2, 4", False),
    ],
)
def test_what_a_column_computes_of_its_own_channels(row: str, stays: bool) -> None:
    graph = load_rows(f"columns 2\na: conv 1x1, 4 | {row}", HEADER).graph
    assert parts(graph)[graph.outputs[0]] == (stays, stays)


def test_the_mistake_is_marked_and_the_columns_are_shown() -> None:
    (error,) = problems(HEADER + "columns 2\na: conv 3x3, 6, groups=3")
    assert (error.span.text, error.help) == (
        "3", "use groups=2, or 1 for a layer that reads all columns"
    )  # fmt: skip
    assert error.notes[0].message == "2 columns on line 3"
    (error,) = problems(HEADER + "columns 2\na: conv 3x3, 5")
    assert (error.span.text, error.help) == ("5", "use a multiple of 2")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("columns 0", ["NS142"]),
        ("columns 3/2", ["NS142"]),
        ("columns -1", ["NS142"]),
        ("columns relu", ["NS140"]),
        ("columns 2\ncolumns 2", ["NS131"]),
        ("columns n", ["NS113"]),
        ("columns", ["NS101"]),
    ],
)
def test_columns_that_cannot_be(columns: str, expected: list[str]) -> None:
    assert codes_of_rows(f"{columns}\na: relu", HEADER) == expected


def test_the_number_of_columns_is_a_parameter_but_no_symbol() -> None:
    text = "net n({})\ncolumns c\ninput i 8x8x12\na: conv 3x3, 6, groups=c"
    net = loads(text.format("c=2"), c=3)
    assert net.graph.columns is not None
    assert net.graph.columns.number == 3
    (error,) = problems(text.format("c"))
    assert (error.code, error.span.text) == ("NS142", "c")


def test_symbols_are_not_said_to_divide_unevenly() -> None:
    header = "net n\ninput i H x W x C\n"
    assert codes_of_rows("columns 2\na: conv 3x3, C", header) == []
    assert codes_of_rows("columns 2\na: conv 3x3, 2*C + 1", header) == ["NS210"]


def test_alexnet_exchanges_where_its_paper_says() -> None:
    assert exchanging(loaded("alexnet").graph) == ["C3", "F6", "F7", "F8"]


def test_one_column_exchanges_nothing() -> None:
    assert exchanging(load_rows("columns 1\na: conv 1x1, 4\nb: fc 2").graph) == []
    assert exchanging(load_rows("a: conv 1x1, 4\nb: fc 2").graph) == []


def test_what_reads_the_images_alone_exchanges_nothing() -> None:
    rows = "columns 2\na: conv 1x1, 4\nb: lrn 3\nc: lrn 3, groups=2\nd: gap | fc 2"
    assert exchanging(load_rows(rows).graph) == ["b", "d"]
