"""Images of noise in folders: a data set as small as a test needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def folder_of(root: Path, train: int, val: int, classes: tuple[str, ...] = ("a", "b")) -> str:
    """Write images of 8x8 pixels, ``train`` and ``val`` per class; return the data set."""
    generator = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (8, 8), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return f"images:{root}"
