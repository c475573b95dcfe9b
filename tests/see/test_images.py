"""The part of an image that a net sees, and its values: those of the net's own preprocessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.data.dataset import Pixels
from netspec.data.preprocessing import view_of
from netspec.errors import DataError
from netspec.ir.expects import Expects
from netspec.ir.shapes import Shape
from netspec.see.images import Preparation

SHAPE = Shape((8, 8, 3))
PHOTO: Pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
MEAN = np.random.default_rng(2).uniform(0, 255, (10, 10, 3))


def expects(steps: str, image: object = None, views: str = "center") -> Expects:
    text = f"net a\ninput image 8x8x3\nF: fc 2\nprepare {steps}\n" if steps else ""
    known = netspec.loads(text).expects if text else Expects()
    return Expects(known.prepare, views, image=image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "known",
    [
        Expects(),
        expects("resize 8x8 | range low=-1, high=1"),
        expects("shorter 9 | center 8 | order bgr | subtract 104 117 123 | divide 2 3 4"),
        expects("shorter 9 | center 8 | range low=0, high=1", views="tencrop"),
        expects("resize 8x8 | subtract mean image", image=MEAN[:8, :8]),
    ],
    ids=["none", "range", "bgr", "tencrop", "mean image"],
)
def test_values_are_those_of_the_net(known: Expects) -> None:
    preparation = Preparation(known, SHAPE)
    sample = preparation.sample(PHOTO)
    view = view_of(Expects(known.prepare, "center", image=known.image), SHAPE)
    expected = view(PHOTO).transpose(0, 3, 1, 2)
    # float32: a product and a sum of values up to 255
    assert preparation.batch([sample.pixels]).numpy() == pytest.approx(expected, abs=255 * 2**-22)
    assert sample.pixels.shape == (8, 8, 3)
    assert sample.pixels.dtype == np.uint8
    again = preparation.pixels(torch.from_numpy(expected))
    assert again.dtype == np.uint8
    assert np.array_equal(again, sample.pixels[np.newaxis])


def test_a_mean_image_of_the_size_before_the_crop_is_cropped() -> None:
    recipe = netspec.loads(
        "net a\ninput image 8x8x3\nF: fc 2\ntrain {\n"
        "    prepare resize 10x10 | subtract mean image\n"
        "    augment crop 8\n    loss cross_entropy\n    optimizer sgd lr=0.1\n    batch 2\n"
        "    epochs 1\n}\n"
    ).recipe
    assert recipe is not None
    known = Expects(tuple(recipe.prepare), image=MEAN)
    preparation = Preparation(known, SHAPE)
    values = preparation.batch([preparation.sample(PHOTO).pixels])
    expected = view_of(known, SHAPE)(PHOTO).transpose(0, 3, 1, 2)
    assert values.numpy() == pytest.approx(expected, abs=255 * 2**-22)


def test_pixels_that_a_net_cannot_distinguish_are_black() -> None:
    preparation = Preparation(expects("resize 8x8 | range low=1, high=1"), SHAPE)
    assert not preparation.pixels(preparation.batch([PHOTO[:8, :8]])).any()


def test_an_image_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    preparation = Preparation(expects("center 8"), SHAPE)
    with pytest.raises(DataError, match="smaller than the 8x8 pixels"):
        preparation.sample(PHOTO[:5])
    with pytest.raises(DataError, match="9x9x7, which is not an image of 1 or 3 channels"):
        Preparation(Expects(), Shape((9, 9, 7)))
    with pytest.raises(DataError, match=r"none\.png"):
        preparation.sample(tmp_path / "none.png")
    with pytest.raises(ValueError, match="one image or several"):
        preparation.samples([])
