"""Write patches of colour photographs as a data set: python docs/photographs.py FOLDER.

The question is: which photograph does a patch come from?  The ten photographs come with
scikit-image and scikit-learn: pip install scikit-image scikit-learn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAMES = (
    *("astronaut", "chelsea", "coffee", "hubble_deep_field"),
    *("ihc", "motorcycle_left", "retina", "rocket"),
)
SIDE = 32
TRAINING, VALIDATION = 400, 100
"""Patches of each photograph."""
EVERY = 5
"""One band of 32 rows in five is for validation: no pixel is in both splits."""

Photograph = NDArray[np.uint8]


def photographs() -> dict[str, Photograph]:
    """Return photographs [H, W, 3] by name; exit if one is missing."""
    try:
        import skimage
        from sklearn.datasets import load_sample_images
    except ModuleNotFoundError:
        sys.exit("the photographs need: pip install scikit-image scikit-learn")

    folder = Path(skimage.__file__).parent / "data"
    paths = [path for name in NAMES for path in sorted(folder.glob(f"{name}.*"))[:1]]
    if len(paths) < len(NAMES):
        sys.exit(f"{folder} does not have all photographs: install another version of scikit-image")
    named = {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in paths}
    samples = load_sample_images()
    return named | {
        Path(path).stem: image
        for path, image in zip(samples.filenames, samples.images, strict=True)
    }


def patches(
    photograph: Photograph, count: int, draw: np.random.Generator, *, is_validation: bool
) -> list[Photograph]:
    """Return random patches of one split of a photograph."""
    bands = [
        band
        for band in range(photograph.shape[0] // SIDE)
        if (band % EVERY == EVERY - 1) == is_validation
    ]
    corners = zip(
        SIDE * draw.choice(bands, count),
        draw.integers(0, photograph.shape[1] - SIDE + 1, count),
        strict=True,
    )
    return [photograph[top : top + SIDE, left : left + SIDE] for top, left in corners]


def write(named: dict[str, Photograph], folder: Path) -> None:
    """Write FOLDER/train/NAME/N.png and FOLDER/val/NAME/N.png."""
    draw = np.random.default_rng(1)
    for name, photograph in sorted(named.items()):
        for split, count in (("train", TRAINING), ("val", VALIDATION)):
            place = folder / split / name
            place.mkdir(parents=True)
            chosen = patches(photograph, count, draw, is_validation=split == "val")
            for number, patch in enumerate(chosen):
                Image.fromarray(patch).save(place / f"{number:03}.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if Path(sys.argv[1]).exists():
        sys.exit(f"{sys.argv[1]} exists: name a new folder")
    write(photographs(), Path(sys.argv[1]))
