"""Numbers with the words that they count."""

from __future__ import annotations

from netspec.ir.words import counted, plural


def test_one_has_no_ending() -> None:
    assert [counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_thousands_are_parted() -> None:
    assert counted(12_345, "image") == "12,345 images"


def test_a_word_alone() -> None:
    assert [plural(w, 2) for w in ("class", "batch", "epoch")] == ["classes", "batches", "epochs"]
    assert (plural("step", 1), plural("step", 1000)) == ("step", "steps")
