from __future__ import annotations

import gzip
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from netspec.data import digits as digits_module
from netspec.data import open_data
from netspec.errors import DataError


def test_the_split_is_the_same_for_ever() -> None:
    train, validation = open_data("digits:8")
    assert (len(train), len(validation)) == (1437, 360)
    labels = [[split.example(i).label for i in range(len(split))] for split in (train, validation)]
    assert labels[0][:10] == [1, 3, 5, 6, 7, 8, 9, 0, 1, 2]
    assert labels[1][:10] == [0, 2, 4, 7, 1, 6, 8, 9, 5, 3]
    assert np.bincount(labels[0]).tolist() == [142, 146, 141, 147, 144, 146, 145, 143, 139, 144]
    assert np.bincount(labels[1]).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]


def test_both_parts_together_are_all_digits() -> None:
    examples = sorted(
        (e.label, e.pixels.tobytes())
        for split in open_data("digits:8")
        for e in map(split.example, range(len(split)))
    )
    from sklearn.datasets import load_digits

    original = load_digits()
    scaled = np.rint(original.images * 255 / 16).astype(np.uint8)
    assert examples == sorted(
        (t, x.tobytes()) for t, x in zip(original.target, scaled, strict=True)
    )


def test_a_digit_is_scaled_and_its_ink_is_bright() -> None:
    example = open_data("digits").train.example(0)
    assert example.pixels.shape == (32, 32, 1)
    assert example.pixels.dtype == np.uint8
    assert example.label == 1
    assert example.pixels[:, :4].max() < 32  # paper beside the stroke of a one
    assert example.pixels[16, 14:18].max() > 200
    assert not example.pixels.flags.writeable
    assert open_data("digits:24").train.example(0).pixels.shape == (24, 24, 1)


def test_a_split_pickles_small_and_comes_back_the_same() -> None:
    train = open_data("digits:64").train
    pickled = pickle.dumps(train)
    assert len(pickled) < 150_000  # the digits as they come, not 1,437 x 64 x 64
    again = pickle.loads(pickled)
    assert (again.name, again.digest, len(again)) == (
        "digits, 1,437 for training",
        train.digest,
        1437,
    )
    assert np.array_equal(again.example(7).pixels, train.example(7).pixels)


def test_the_digest_tells_sizes_and_splits_apart() -> None:
    splits = [*open_data("digits"), *open_data("digits:24")]
    assert len({split.digest for split in splits}) == 4
    assert open_data("digits").train.digest == splits[0].digest


def test_other_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = digits_module._digits()
    digits.pixels[5, 3, 3] ^= 1
    monkeypatch.setattr(digits_module, "_digits", lambda: digits)
    with pytest.raises(
        DataError, match="in the installed scikit-learn differ from those that netspec expects"
    ):
        open_data("digits")


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match=r"pip install 'netspec-compiler\[demo\]'"):
        open_data("digits")


@pytest.mark.parametrize("text", [None, "1,2\n", "a,b\n"])
def test_another_file_of_digits_is_an_error(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "digits.csv").write_text(text)
    monkeypatch.setattr(digits_module, "FILE", str(tmp_path / "digits.csv"))
    with pytest.raises(DataError, match="install another version of scikit-learn"):
        open_data("digits")


@pytest.mark.parametrize(
    "content", [gzip.compress(b"1,2\n" * 99)[:-9], b"\x1f\x8b\x08" + b"?" * 40]
)
def test_a_damaged_file_of_digits_is_an_error(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits.csv.gz").write_bytes(content)
    monkeypatch.setattr(digits_module, "FILE", str(tmp_path / "digits.csv.gz"))
    with pytest.raises(DataError, match="install another version of scikit-learn"):
        open_data("digits")


@pytest.mark.parametrize("size", ["0", "-3", "1025", "x", "²", "1.5"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(
        DataError, match=r"is not a number of pixels from 1 to 512: write, for example, digits:32"
    ):
        open_data(f"digits:{size}")
