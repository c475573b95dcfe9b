"""Warnings: what is probably a mistake, and what looks like one and is none."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import netspec
from netspec import SpecError, SpecWarning, load, loads
from netspec.net import from_source
from tests.helpers import load_rows

CONV = "a: conv 3x3, 4, pad=1 | relu\nb: fc 2"


def codes(text: str) -> list[str]:
    return [d.code for d in loads(text, "example.net").warnings]


def of_input(size: str, rows: str = CONV) -> list[str]:
    return codes(f"net example\ninput image {size}\n{rows}")


# ------------------------------------------------------------------------------- order of sizes


@pytest.mark.parametrize(
    "size",
    [
        "3x224x224", "1x28x28", "1x8x8", "4x64x64", "3x480x640", "3x640x480", "1x96x64",
        "3x1080x1920", "224x3x224", "28x1x28", "640x3x480",
    ],
)  # fmt: skip
def test_sizes_in_another_order_are_told(size: str) -> None:
    assert of_input(size) == ["NS501"]
    assert of_input(size, "b: fc 2") == ["NS501"]


@pytest.mark.parametrize(
    "size",
    [
        "224x224x3", "28x28x1", "8x8x4", "480x640x3",  # as it should be
        "3x5x64", "3x3x512", "1x1x2048", "4x4x1024", "1x7x7", "2x2x2",  # small maps
        "1x16000x1", "1x1000x64", "3x100x16", "1x49x10",  # sequences and spectra
        "2x64x64", "5x64x64", "7x224x224", "16x16x16", "32x32x32",  # no number of channels
        "3x3x3", "1x1x1", "4x4x4", "64", "1",
    ],
)  # fmt: skip
def test_other_sizes_are_not_told(size: str) -> None:
    assert of_input(size, "b: fc 2") == []


def test_a_net_of_sequences_may_be_one_high() -> None:
    assert of_input("1x64x64", "a: conv 1x3, 8 | maxpool 1x2/2\nb: fc 2") == []
    assert of_input("100x1x80", "a: conv 3x1, 8\nb: fc 2") == []
    assert of_input("1x64x64", "a: conv 3x3, 8, pad=1\nb: fc 2") == ["NS501"]


def test_symbols_have_no_order() -> None:
    assert of_input("H x W x 3") == []
    assert of_input("3 x W x W") == []


def test_the_order_is_told_beside_what_it_breaks() -> None:
    with pytest.raises(SpecError) as caught:
        loads("net example\ninput image 3x224x224\na: conv 11x11/4, 96\nb: fc 2", "example.net")
    assert [(d.code, d.severity) for d in caught.value.diagnostics] == [
        ("NS501", "warning"),
        ("NS201", "error"),
    ]
    assert "if it has 3 channels, write 224x224x3" in str(caught.value)


def test_each_input_is_told_by_itself() -> None:
    inputs = "input left 3x32x32\ninput right 32x32x3\n"
    text = f"net example\n{inputs}a from left: fc 2\nb from right: fc 2\noutput a, b"
    (warning,) = loads(text).warnings
    assert warning.message.startswith("`left`")


# ---------------------------------------------------------------------------------- idle operators


@pytest.mark.parametrize(
    "rows",
    [
        "a: fc 4 | relu | relu", "a: fc 4 | relu\nb: relu", "a: fc 4 | sigmoid | relu",
        "a: fc 4 | softmax | relu", "a: fc 4 | relu | abs", "a: fc 4 | softmax | softmax",
        "a: fc 1 | softmax", "a: conv 3x3, 1 | softmax",
    ],
)  # fmt: skip
def test_an_operator_that_does_nothing_is_told(rows: str) -> None:
    assert [d.code for d in load_rows(rows).warnings] == ["NS502"]


@pytest.mark.parametrize(
    "rows",
    [
        "a: conv 3x3, 4\nb: conv 3x3, 4", "a: fc 4 | fc 4", "a: fc 4 | relu | tanh",
        "a: fc 4 | relu | sigmoid", "a: fc 4 | tanh | relu", "a: fc 4 | relu | dropout 0.5",
        "a: fc 4 | relu | softmax", "a: fc 4 | relu | bn eps=0.1 | relu", "a: fc 1 | sigmoid",
        "a: conv 3x3, 4 | relu | maxpool 2x2 | relu", "a: add { relu; relu } | relu",
        "a: fc 4 | softmax | fc 4 | softmax",
    ],
)  # fmt: skip
def test_other_operators_are_not_told(rows: str) -> None:
    assert load_rows(rows).warnings == ()


def test_a_block_that_is_called_often_is_told_once() -> None:
    rows = "block b(act) = fc 4 | act | relu\na: b relu\nc: b relu\nd: b tanh"
    (warning,) = load_rows(rows).warnings
    assert "in block `b`, called on line 4" in [note.message for note in warning.notes]


def test_where_the_operator_before_stands_is_told_if_it_is_another_line() -> None:
    (warning,) = load_rows("a: fc 4 | relu\nb: relu").warnings
    assert [(note.message, note.span and note.span.line) for note in warning.notes] == [
        ("relu is written here", 3)
    ]


# ---------------------------------------------------------------------------- unused definitions


@pytest.mark.parametrize(
    "definition", ["let n = 3", "block unit(n) = fc n", "connect t {\n    XX\n}"]
)
def test_a_definition_that_nothing_uses_is_told(definition: str) -> None:
    assert codes(f"net example\n{definition}\ninput image 8x8x3\na: fc 2") == ["NS503"]


def test_a_parameter_that_nothing_uses_is_told() -> None:
    (warning,) = loads("net example(classes=10, n=3)\ninput image 8x8x3\na: fc n").warnings
    assert warning.message == "nothing uses the parameter `classes`"


@pytest.mark.parametrize(
    "text",
    [
        "net example(n)\ninput image n x n x 3\na: fc 2",
        "net example\nlet n = 3\nlet m = n + 1\ninput image 8x8x3\na: fc m",
        "net example(on_=1)\ninput image 8x8x3\na: fc 2 if on_ == 1",
        "net example\nblock b = relu\nblock c = b | tanh\ninput image 8x8x3\na: c",
        "net example(n=2)\ninput image 8x8x3\na: fc 2 -> n",
        "net example(n=2)\ninput image 8x8x3\na: fc 2\nclaim params 192*n + n",
        'net example(n=2)\ninput image 8x8x3\na: fc 2\ndocument "x" {\n    says "y"  n == 2\n}',
        "net example(rate=0.1)\ninput image 8x8x3\na: fc 2 | softmax\ntrain {\n"
        "    loss cross_entropy\n    optimizer sgd lr=rate\n    batch 2\n    epochs 1\n}",
        "net example from lenet5",
        "net example(n=84) from lenet5 {\n    F6: fc n | tanh\n}",
    ],
)
def test_what_is_used_anywhere_is_not_told(text: str) -> None:
    assert codes(text) == []


def test_blocks_of_another_file_need_no_use(tmp_path: Path) -> None:
    (tmp_path / "blocks.net").write_text("block a = relu\nblock b = tanh\nlet n = 3\n")
    path = tmp_path / "example.net"
    path.write_text('net example\nimport "blocks.net"\ninput image 8x8x3\nx: a\n')
    assert load(path).warnings == ()


# -------------------------------------------------------------------------------------- the warning


def test_a_spec_is_warned_of_where_it_is_loaded_and_not_where_it_is_read_again() -> None:
    text = "net example\nlet n = 3\nlet m = 3\ninput image 8x8x3\na: fc 2"
    with pytest.warns(SpecWarning, match="NS503") as caught:
        net = loads(text)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert isinstance(caught[0].message, SpecWarning)
    assert caught[0].message.diagnostics == net.warnings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert from_source(net.source, {}).warnings == net.warnings


def test_warnings_are_no_notes_and_change_no_count() -> None:
    net = loads("net example\nlet n = 3\ninput image 8x8x3\na: fc 2 -> 2")
    assert (net.notes, net.claims) == ((), 1)
    assert netspec.compile(net).net is net
