from __future__ import annotations

import pytest

from netspec import load
from tests.helpers import codes_of_rows, load_rows, problems


def test_every_stage_gets_a_shape_and_a_field() -> None:
    for stage in load("googlenet").graph.stages():
        assert stage.shape is not None
        assert stage.field is not None


def test_the_field_of_a_concat_covers_its_branches() -> None:
    net = load_rows("a: concat { conv 3x3, 1, pad=1; conv 5x5, 1, pad=2; identity }")
    field = net.graph.stage("a.concat").field
    assert field is not None
    assert (field.size, field.start, field.stride) == ((5, 5), (-2, -2), (1, 1))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a: conv 9x9, 3", ["NS201"]),
        ("a: conv 3x3, 3, dilation=4", ["NS201"]),
        ("a: maxpool 1x1/3, pad=1", ["NS202"]),
        ("a: conv 2x2, 3, pad=half", ["NS203"]),
        ("a: concat { identity; conv 3x3, 3 }", ["NS204"]),
        ("a: concat { identity; fc 3 }", ["NS205"]),
        ("a: add { identity; conv 1x1, 4 }", ["NS205"]),
        ("a: add { identity; fc 4 }", ["NS205"]),
        ("a: fc 3 | conv 1x1, 4", ["NS206"]),
        ("a: fc 3 | lrn 5", ["NS206"]),
        ("a: fc 3 | gap", ["NS206"]),
        ("a: conv 1x1, 4, groups=2", ["NS207"]),
        ("a: conv 1x1, 2**62", ["NS007"]),
        ("a: fc 2**62", ["NS007"]),
    ],
)
def test_sizes_that_do_not_fit(rows: str, expected: list[str]) -> None:
    assert codes_of_rows(rows) == expected


def test_a_mismatch_names_both_sizes_both_places_and_a_change_that_mends_it() -> None:
    (error,) = problems(
        "net example\ninput i 8x8x3\na: maxpool 3x3/2, round=ceil\nb from i: conv 3x3/2, 4\n"
        "c from a, b: concat"
    )
    assert error.message == "concat inputs differ in height: 4 and 3"
    assert [n.message for n in error.notes] == [
        "height 4 comes from `a.maxpool`, line 3: ceil((8-3)/2) + 1",
        "height 3 comes from `b`, line 4: floor((8-3)/2) + 1",
    ]
    assert error.help.startswith("set round=floor on `a.maxpool`, line 3, to make it 3")


def test_the_suggested_change_does_mend_it() -> None:
    rows = "a: maxpool 3x3/2, round=ceil\nb from image: conv 3x3/2, 4\nc from a, b: concat"
    assert codes_of_rows(rows) == ["NS204"]
    assert codes_of_rows(rows.replace("round=ceil", "round=floor")) == []


def test_a_head_that_does_not_fit_is_told_from_the_net() -> None:
    change = "net a from inception_v3 {\ninput image 75x75x3\n}"
    (error,) = problems(change)
    assert error.code == "NS201"
    assert error.notes[0].message == ("only the head `aux` does not fit; inference does not use it")
    assert error.help.endswith("; or remove the head: `drop aux` in a variant")
    assert problems(change.replace("}", "drop aux\n}")) == []
