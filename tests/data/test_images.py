from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.data.images import center, read_image, resized, shorter
from netspec.errors import DataError


def pixels_of(photograph: Path) -> np.ndarray:
    with Image.open(photograph) as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (427, 640, (256, 384)),
        (640, 427, (384, 256)),
        (100, 100, (256, 256)),
        (100, 333, (256, 852)),
    ],
)
def test_the_shorter_side_gets_the_size_and_proportions_stay(
    height: int, width: int, size: tuple[int, int]
) -> None:
    assert shorter(np.zeros((height, width, 3), np.uint8), 256).shape == (*size, 3)
    assert shorter(np.zeros((height, width, 1), np.uint8), 256).shape == (*size, 1)


def test_a_image_that_has_the_size_is_untouched(photograph: Path) -> None:
    pixels = pixels_of(photograph)
    assert np.array_equal(shorter(pixels, 427), pixels)


def test_colours_are_rescaled_each_alone(photograph: Path) -> None:
    pixels = pixels_of(photograph)
    for channel in range(3):
        alone = resized(np.ascontiguousarray(pixels[..., channel : channel + 1]), 100, 150)
        assert np.array_equal(resized(pixels, 100, 150)[..., channel : channel + 1], alone)


def test_fine_stripes_become_grey_not_coarse_stripes() -> None:
    stripes = np.zeros((256, 256, 1), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resized(stripes, 60, 60)[:, 5:-5].astype(int)) < 20


@pytest.mark.parametrize(("height", "top"), [(10, 1), (11, 1), (12, 2), (8, 0)])
def test_the_centre_is_the_middle_and_the_odd_row_goes_below(height: int, top: int) -> None:
    pixels = np.arange(height * 9, dtype=np.uint8).reshape(height, 9, 1)
    assert np.array_equal(center(pixels, (8, 9)), pixels[top : top + 8])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
def test_whatever_bytes_are_spoilt_the_message_names_the_image(form: str, photograph: Path) -> None:
    content = io.BytesIO()
    with Image.open(photograph) as image:
        image.resize((40, 30)).save(content, form)
    whole = content.getvalue()
    draw = np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        spoilt = bytearray(whole)
        for place in draw.integers(0, min(len(whole), 200 if trial % 2 else len(whole)), 8):
            spoilt[place] = draw.integers(256)
        if trial % 3 == 0:
            del spoilt[draw.integers(len(spoilt)) :]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's on what it can still read
                read_image(io.BytesIO(bytes(spoilt)), "an image")
        except DataError as error:
            refused += 1
            assert str(error).startswith("cannot read an image: ")
            assert len(str(error)) > len("cannot read an image: ")
    assert refused > 5


def test_spoilt_exif_data_does_not_spoil_the_image(photograph: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with Image.open(photograph) as image:
        image.save(path, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00")
    assert read_image(path, str(path)).size == (640, 427)
