"""What crosses between columns: by hand for AlexNet, and what ranks really send is in
tests/training/test_columns.py."""

from __future__ import annotations

import pytest

from netspec import DataError, SpecError, load, loads
from netspec.views.exchanges import exchanges

HEADER = "net example\ncolumns 2\ninput image 8x8x4\n"


def test_alexnet_exchanges_what_c3_and_the_fully_connected_layers_read() -> None:
    traffic = load("alexnet").exchanges().as_json()
    assert [(p["from"], p["read_by"], p["forward"], p["backward"]) for p in traffic["places"]] == [
        ("S2", ["C3"], 13 * 13 * 256 * 4, 13 * 13 * 256 * 4),
        ("S5", ["F6"], 6 * 6 * 256 * 4, 6 * 6 * 256 * 4),
        ("F6", ["F7"], 4096 * 4, 4096 * 4),
        ("F7", ["F8"], 4096 * 4, 4096 * 4),
        ("F8", ["F8"], 1000 * 4, 0),  # every column has the gradient of one softmax
    ]
    assert (traffic["forward"], traffic["backward"]) == (246_688, 242_688)
    assert (traffic["parameters"], traffic["macs"]) == (60_965_224 // 2, 724_406_816 // 2)
    assert traffic["gradients"] == 2 * 4 * 60_965_224


def test_the_table_says_so() -> None:
    text = str(load("alexnet").exchanges())
    assert "S2         13x13x256   C3              173,056          173,056" in text
    assert "with 996 images" in text


def test_a_value_that_every_column_has_is_added_up_on_the_way_back() -> None:
    traffic = exchanges(
        loads(HEADER + "a: conv 1x1, 6 | lrn 3\nb: conv 1x1, 4\nc: gap | fc 3")
    ).results
    assert [(p["from"], p["read_by"], p["forward"], p["backward"]) for p in traffic["places"]] == [
        ("a", ["a"], 8 * 8 * 6 * 4, 0),
        ("a", ["b"], 0, 2 * 8 * 8 * 6 * 4),
        ("c", ["c"], 4 * 4, 0),
    ]


def test_an_output_may_be_what_reads() -> None:
    traffic = exchanges(loads(HEADER + "a: conv 1x1, 6")).results
    assert [p["read_by"] for p in traffic["places"]] == [["output"]]


def test_a_net_whose_layers_are_whole_exchanges_nothing() -> None:
    assert "Nothing crosses between them." in str(exchanges(loads(HEADER + "a: fc 3")))


def test_a_net_without_columns_or_without_numbers_is_refused() -> None:
    with pytest.raises(DataError, match="lenet5 does not have columns: write `columns 2`"):
        exchanges(load("lenet5"))
    with pytest.raises(SpecError, match="NS121"):
        exchanges(loads(HEADER.replace("8x8x4", "H x W x 4") + "a: conv 1x1, 6"))
