"""Scikit-learn's 1,797 handwritten digits of 8x8 pixels: real data that needs no download.

They are the test part of the UCI data set "Optical recognition of handwritten digits" (Alpaydin and
Kaynak 1998).  The split is netspec's: digits are sorted by class, within a class in the order of
the file, and every fifth is for validation.  So a fifth of each class is for validation, and the
split is not random.
"""

from __future__ import annotations

import zlib
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from netspec.data.dataset import Arrays, InMemory, Splits, sha256
from netspec.data.images import resized
from netspec.errors import DataError

CLASSES = tuple("0123456789")
SIZE = 32
LARGEST = 512
"""Maximum side in pixels: 1,797 images of that size take 0.4 GiB."""
FILE = "data/digits.csv.gz"
"""The digits in the folder of ``sklearn.datasets``: 64 values and the label in each line."""
EVERY = 5
INK = 16
"""The brightest value in scikit-learn's digits."""

TRAIN = "aaf9536cf64863a58b00cbaeb76992e237ebe6aebe9e3ca6095647b1534d182c"
VALIDATION = "763edfe4a5617b6b98677dcecbfdacdf88c1f539bf39bd8982f9438f94e86285"
"""Digests of the original digits, 8x8 with values of 0..16, with their labels."""


def open_digits(size: str = "") -> Splits:
    """Return the digits resized to ``size`` x ``size`` pixels (default 32), 0 paper to 255 ink.

    Raises:
        DataError: if scikit-learn is missing or has other digits, or the size is not valid.
    """
    side = _side(size)
    digits = _digits()
    order = np.argsort(digits.labels, kind="stable")
    validation = order[::EVERY]
    train = np.setdiff1d(order, validation)
    return Splits(
        _split("training", Arrays(*(a[train] for a in digits)), side, TRAIN),
        _split("validation", Arrays(*(a[np.sort(validation)] for a in digits)), side, VALIDATION),
    )


def _side(size: str) -> int:
    if not size:
        return SIZE
    if not (size.isascii() and size.isdigit() and 1 <= int(size) <= LARGEST):
        raise DataError(
            f"digits:{size}: {size!r} is not a number of pixels from 1 to {LARGEST}: "
            f"write, for example, digits:{SIZE}"
        )
    return int(size)


def _digits() -> Arrays:
    # The file is read without scikit-learn, whose import takes longer than all other work here.
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError(
            "the data set `digits` comes with scikit-learn, which is not installed: "
            "pip install 'netspec-compiler[demo]'"
        )
    try:
        path = Path(package.origin).with_name("datasets") / FILE
        table = np.loadtxt(path, np.uint8, delimiter=",", ndmin=2)
        return Arrays(table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"the digits of the installed scikit-learn cannot be read ({error}): "
            "install another version of scikit-learn"
        ) from None


def _split(use: str, digits: Arrays, side: int, digest: str) -> InMemory:
    if sha256(part.tobytes() for part in digits) != digest:
        raise DataError(
            f"the digits for {use} in the installed scikit-learn differ from those that netspec "
            "expects: install another version of scikit-learn"
        )
    return InMemory("digits", use, CLASSES, partial(_scaled, digits, side))


def _scaled(digits: Arrays, side: int) -> Arrays:
    pixels = np.rint(digits.pixels * (255 / INK)).astype(np.uint8)
    scaled = np.empty((len(pixels), side, side, 1), np.uint8)
    for number, digit in enumerate(pixels):
        scaled[number] = resized(digit, side, side)
    return Arrays(scaled, digits.labels)
