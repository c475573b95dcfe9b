from __future__ import annotations

import pytest

from netspec.language.diagnostics import SpecError
from tests.helpers import codes_of_rows, load_rows, problems

ROW = "a: conv 3x3, 4, pad=1 | relu | maxpool 2x2/2"


@pytest.mark.parametrize(
    "claim",
    [
        "4x4x4",
        "4 x (2+2) x 4",
        "params (3*3*3+1)*4",
        "macs 3*3*3*4*8*8",
        "neurons 8*8*4",
        "field 4",
        "field 4x4",
        "4x4x4 params 112 macs 6912 neurons 256 field 4",
    ],
)
def test_true_claims_hold(claim: str) -> None:
    assert load_rows(f"{ROW} -> {claim}").claims > 0


@pytest.mark.parametrize(
    ("claim", "code", "derived"),
    [
        ("4x4x5", "NS301", "row a is 4x4x4, not 4x4x5"),
        ("64", "NS301", "row a is 4x4x4, not 64"),
        ("params 111", "NS302", "parameters of row a: 112, not 111"),
        ("params 113", "NS302", "4*3*3*3 + 4 = 112"),
        ("macs 6911", "NS302", "3*3*3*4*8*8 = 6,912"),
        ("neurons 255", "NS302", "8*8*4 = 256"),
        ("field 5", "NS302", "it grows from 1 to 3 in a, 3 to 4 in a.maxpool"),
    ],
)
def test_a_false_claim_shows_the_arithmetic(claim: str, code: str, derived: str) -> None:
    (error,) = problems(f"net example\ninput image 8x8x3\n{ROW} -> {claim}")
    assert error.code == code
    assert derived in str(SpecError([error]))


def test_a_claim_names_the_change_that_would_make_it_true() -> None:
    (error,) = problems("net example\ninput i 224x224x3\na: conv 11x11/4, 96 -> 55x55x96")
    assert error.help == "with round=ceil or pad=2, conv of `a` gives 55"


def test_sizes_with_leading_ones_are_equal() -> None:
    assert load_rows("a: fc 10 -> 1x1x10").claims == 1
    assert load_rows("a: gap -> 3").claims == 1
    assert codes_of_rows("a: identity -> 1x8x24") == ["NS301"]


@pytest.mark.parametrize(
    ("kernel", "groups", "expected"),
    [("3x3x8", 1, []), ("3x3x4", 2, []), ("3x3x8", 2, ["NS303"]), ("3x3x3", 1, ["NS303"])],
)
def test_a_kernel_claims_the_channels_that_each_filter_sees(
    kernel: str, groups: int, expected: list[str]
) -> None:
    header = "net example\ninput image 8x8x8\n"
    assert codes_of_rows(f"a: conv {kernel}, 4, groups={groups}", header) == expected


def test_totals_leave_out_the_heads() -> None:
    rows = "a: conv 1x1, 4\nb: fc 2\nhead h from a, weight=1: fc 5\n"
    parameters = 3 * 4 + 4 + 256 * 2 + 2
    assert load_rows(rows + f"claim params {parameters}").claims == 1
    assert codes_of_rows(rows + f"claim params {parameters + 1}, macs 5") == ["NS304", "NS304"]


def test_every_label_of_a_range_keeps_the_claim() -> None:
    assert load_rows("a1..a3: conv 3x3, 3, pad=1 -> 8x8x3").claims == 3
    assert codes_of_rows("a1..a3: conv 3x3, 3 -> 6x6x3") == ["NS301"]  # a3 follows from a2


def test_under_other_settings_false_claims_are_notes() -> None:
    header = "net example(n=4)\ninput image 8x8x3\n"
    rows = "a: conv 3x3x3, n -> 6x6x4 params 112 field 3\nb: conv 1x1x4, 2\nclaim params 122"
    assert load_rows(rows, header).notes == ()
    changed = load_rows(rows, header, n=5)
    assert sorted(d.message.split(": ", 1)[1] for d in changed.notes) == [
        "each filter of b sees 5 channels, not 4",
        "parameters of row a: 140, not 112",
        "parameters of the net: 152, not 122",
        "row a is 6x6x5, not 6x6x4",
    ]


def test_sizes_that_are_false_because_of_another_are_told_with_it() -> None:
    rows = """
a: conv 3x3/2, 4 -> 4x4x4
b: conv 1x1, 4 -> 4x4x4
c: fc 2 -> 2 params 4*4*4*2+2
d: fc 3 -> 3 params 7
claim params 139
"""
    first, second = problems(f"net example\ninput image 8x8x3{rows}")
    assert [d.code for d in (first, second)] == ["NS301", "NS302"]
    assert first.notes[-1].message == (
        "claims that are false with it: row b is 3x3x4, not 4x4x4; "
        "parameters of row c: 74, not 130 (2*36 + 2 = 74); parameters of the net: 215, not 139 "
        "(4*3*3*3 + 4 + 4*4*1*1 + 4 + 2*36 + 2 + 9 in 2 more terms = 215)"
    )
    assert second.message == "parameters of row d: 9, not 7"


def test_claims_that_are_false_by_themselves_are_all_told() -> None:
    rows = (
        "a: conv 1x1, 3 -> 8x8x4\nb from image: conv 1x1, 5 | relu -> params 21\n"
        "c from image: fc 3 -> params 7\noutput a, b, c"
    )
    assert codes_of_rows(rows) == ["NS301", "NS302", "NS302"]


def test_a_field_may_be_claimed_as_height_by_width() -> None:
    assert load_rows("a: conv 3x5, 2 -> field 3x5").claims == 1
    assert codes_of_rows("a: conv 3x5, 2 -> field 5x3") == ["NS302"]
    assert codes_of_rows("a: conv 3x5, 2 -> field 3x5x2") == ["NS140"]


def test_the_field_of_the_net_is_that_of_its_first_output() -> None:
    rows = "a: conv 3x3, 2\nb: conv 3x3, 2\noutput a, b\n"
    assert load_rows(rows + "claim field 3").claims == 1
    assert codes_of_rows(rows + "claim field 5") == ["NS304"]
