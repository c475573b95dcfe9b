"""Freshly written data in the formats of the data sets."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


def write_idx(path: Path, array: np.ndarray) -> None:
    """An array of bytes in the IDX format; gzip by the name's suffix."""
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_mnist(folder: Path, digits: np.ndarray, labels: np.ndarray, suffix: str = "") -> None:
    """Digits [N, H, W], all but the last five for training."""
    for part, some in (("train", slice(0, -5)), ("t10k", slice(-5, None))):
        write_idx(folder / f"{part}-{IMAGES}{suffix}", digits[some])
        write_idx(folder / f"{part}-{LABELS}{suffix}", labels[some])


def write_photographs(folder: Path, photographs: dict[str, Path], count: int = 3) -> None:
    """Crops of real photographs as JPEG files, a class each, in train/ and val/."""
    for split, offset in (("train", 0), ("val", 7)):
        for name, photograph in photographs.items():
            (folder / split / name).mkdir(parents=True)
            with Image.open(photograph) as image:
                for i in range(count):
                    left, top = 40 * i + offset, 20 * i + offset
                    crop = image.crop((left, top, left + 96 + 8 * i, top + 80))
                    crop.save(folder / split / name / f"{name}_{i}.JPEG", quality=90)
