from __future__ import annotations

import pytest

from netspec import load, loads
from tests.helpers import codes_of_rows, load_rows, problems

HEADER = "net example\ninput image 4x4x3\n"


def connected(*lines: str, count: int = 2) -> str:
    drawn = "\n".join(lines)
    return f"a: conv 3x3, {count}, connect=t\nconnect t {{\n{drawn}\n}}\n"


def coded(*lines: str, size: str = "2x3", length: int = 6) -> str:
    drawn = "\n".join(lines)
    return f"a: fc {length}\nb: rbf d\ncodes d {size} {{\n{drawn}\n}}\n"


# ------------------------------------------------------------------------------------- connections


def test_a_line_is_an_input_map_and_a_place_an_output_map() -> None:
    op = load_rows(connected("XX", ".X", "X.")).graph.stage("a").op
    assert op.pairs == [(0, 0), (0, 2), (1, 0), (1, 1)]  # type: ignore[attr-defined]


def test_only_connected_pairs_are_counted() -> None:
    net = load_rows(connected("XX", ".X", "X."))
    assert net.totals.parameters == 4 * 9 + 2
    assert net.totals.macs == 4 * 9 * 36


def test_spaces_in_a_drawing_are_free() -> None:
    spaced = load_rows(connected("X X", "   . X", "X  ."))
    assert spaced.graph.stage("a").op == load_rows(connected("XX", ".X", "X.")).graph.stage("a").op
    one_line = "a: conv 3x3, 2, connect=t\nconnect t { XX; .X; X. }"
    assert load_rows(one_line).totals.parameters == 38


def test_the_table_of_the_1998_paper_has_sixty_pairs() -> None:
    op = load("lenet5").graph.stage("C3").op
    assert len(op.pairs) == 60  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("XX", "X"), "NS143"),
        (("X", "XX", "X"), "NS143"),
        (("X.", "X.", "X."), "NS143"),
        (("XX", "XX"), "NS209"),
        (("XX",) * 4, "NS209"),
        (("XXX",) * 3, "NS132"),
        (("X",) * 3, "NS132"),
        ((), "NS101"),
        (("X1", "XX", "XX"), "NS101"),
        (("xx", "xx", "xx"), "NS101"),
    ],
)
def test_tables_that_cannot_be(lines: tuple[str, ...], expected: str) -> None:
    assert codes_of_rows(connected(*lines)) == [expected]


def test_a_ragged_line_is_marked() -> None:
    (error,) = problems(HEADER + connected("XX..", ".XXX.", "XXXX", count=4))
    assert error.span.text == ".XXX."
    assert error.message == "this line has 5 places, and the first has 4"


def test_an_unconnected_map_is_named() -> None:
    (error,) = problems(HEADER + connected("X.", "X.", "X."))
    assert error.message == "output map 2 of `t` is connected to nothing"


def test_a_table_that_is_used_twice_is_reported_once() -> None:
    rows = connected("XX", "X") + "b from image: conv 3x3, 2, connect=t\noutput a, b\n"
    assert codes_of_rows(rows) == ["NS143"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a: conv 3x3, 2, connect=t", ["NS113"]),
        ("let t = 3\na: conv 3x3, 2, connect=t", ["NS132"]),
        ("a: conv t, 2\nconnect t { XX; XX; XX }", ["NS132"]),
        ("a: fc t + 1\nconnect t { XX; XX; XX }", ["NS140"]),
        ("a: t\nconnect t { XX; XX; XX }", ["NS112"]),
        ("a: relu if t\nconnect t { XX; XX; XX }", ["NS140"]),
        ("a: rbf t\nconnect t { XX; XX; XX }", ["NS132"]),
        ("a: conv 3x3, 2, connect=d\ncodes d 1x2 { XX }", ["NS132"]),
        ("a: conv 3x3, 2, connect=t, groups=2\nconnect t { XX; XX; XX }", ["NS136"]),
        ("a: local 3x3, 2, connect=t\nconnect t { XX; XX; XX }", ["NS136"]),
        ("a: relu\nconnect t { XX }\nconnect t { XX }", ["NS110"]),
        ("a: relu\nconnect relu { XX }", ["NS115"]),
        ("let t = 3\na: relu\nconnect t { XX }", ["NS110"]),
    ],
)
def test_a_table_is_a_table_and_nothing_else(rows: str, expected: list[str]) -> None:
    assert codes_of_rows(rows) == expected


# ------------------------------------------------------------------------------------------- codes


def test_codes_are_pictures_side_by_side_then_below() -> None:
    rows = coded("XXX ...", "... XXX", "X.X .X.", ".X. X.X")
    op = load_rows(rows).graph.stage("b.rbf").op
    assert [p.count(1) for p in op.codes.pictures] == [3, 3, 3, 3]  # type: ignore[attr-defined]
    assert op.codes.pictures[:2] == (  # type: ignore[attr-defined]
        (1, 1, 1, -1, -1, -1),
        (-1, -1, -1, 1, 1, 1),
    )


def test_there_is_a_class_for_each_picture() -> None:
    assert load_rows(coded("XXX ...", "... XXX")).graph.stage("b.rbf").shape == (2,)
    assert load("lenet5_rbf").graph.stage("out.rbf").shape == (10,)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("XXX", "XX"), "this has 2 places, not 3"),
        (("XXXX", "XXX"), "this has 4 places, not 3"),
        (("XXX XXX", "XXX"), "this has 1 pattern, not 2 as the line above"),
        (("XXX",), "1 lines are not a multiple of 2, the height of a pattern"),
        (("XXX",) * 3, "3 lines are not a multiple of 2, the height of a pattern"),
    ],
)
def test_codes_that_are_not_drawn_right(lines: tuple[str, ...], message: str) -> None:
    (error,) = problems(HEADER + coded(*lines))
    assert (error.code, error.message) == ("NS143", message)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (coded("XXX", "XXX", length=5), ["NS209"]),
        (coded("XXX", "XXX", size="2x3x1"), ["NS143"]),
        (coded("XXX", "XXX", size="0x3"), ["NS142"]),
        (coded("XXX", "XXX", size="2x0"), ["NS142"]),
        (coded("XXX", "XXX", size="2x3/2"), ["NS101"]),
        (coded("XXX", "XXX", size="2x99999999999999999999"), ["NS007"]),
        ("a: rbf", ["NS133"]),
        ("a: rbf 3", ["NS132"]),
        ("a: rbf d", ["NS113"]),
    ],
)
def test_codes_that_cannot_be(rows: str, expected: list[str]) -> None:
    assert codes_of_rows(rows, HEADER) == expected


def test_a_map_may_be_read_by_codes() -> None:
    drawn = "\n".join(["X.X"] * 16)
    net = loads(f"{HEADER}a: rbf d\ncodes d 16x3 {{\n{drawn}\n}}")
    assert net.totals.macs == 48
