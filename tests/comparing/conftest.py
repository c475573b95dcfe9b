from __future__ import annotations

from pathlib import Path

import pytest

from netspec.data import open_data
from tests.data.files import write_idx


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A few real digits as an MNIST: 96 to learn from, 48 to measure on."""
    folder = tmp_path_factory.mktemp("mnist")
    digits = open_data("digits").train
    pixels, labels = digits.arrays  # type: ignore[attr-defined]
    for part, some in (("train", slice(0, 96)), ("t10k", slice(96, 144))):
        write_idx(Path(folder) / f"{part}-images-idx3-ubyte", pixels[some, 2:30, 2:30, 0])
        write_idx(Path(folder) / f"{part}-labels-idx1-ubyte", labels[some])
    return f"mnist:{folder}"
