from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from netspec import DataError, load_image
from netspec.data import images
from netspec.data.images import resized
from netspec.ir.shapes import Shape


@pytest.fixture(scope="module")
def pixels(photograph: Path) -> np.ndarray:
    with Image.open(photograph) as image:
        return np.asarray(image.convert("RGB"))


def test_ten_crops_are_those_cut_by_hand() -> None:
    x = np.arange(7 * 9 * 3).reshape(7, 9, 3)
    by_hand = [x[0:4, 0:4], x[0:4, 5:9], x[3:7, 0:4], x[3:7, 5:9], x[1:5, 2:6]]
    crops = images.ten_crops(x, (4, 4))
    assert crops.shape == (10, 4, 4, 3)
    for number, part in enumerate(by_hand):
        assert np.array_equal(crops[number], part)
        for column in range(4):
            assert np.array_equal(crops[5 + number][:, column], part[:, 3 - column])


def test_ten_crops_of_256_have_224_pixels() -> None:
    x = np.random.default_rng(0).integers(0, 256, (256, 256, 3))
    crops = images.ten_crops(x, (224, 224))
    assert np.array_equal(crops[4], x[16:240, 16:240])
    assert np.array_equal(crops[3], x[32:, 32:])


def test_the_middle_of_an_odd_rest_lies_up_and_left() -> None:
    x = np.arange(5 * 6).reshape(5, 6, 1)
    assert np.array_equal(images.center(x, (2, 3)), x[1:3, 1:4])


@given(
    height=st.integers(1, 12), width=st.integers(1, 12), size=st.tuples(*[st.integers(1, 12)] * 2)
)
def test_the_middle_lies_inside_and_rests_differ_by_one_at_most(
    height: int, width: int, size: tuple[int, int]
) -> None:
    x = np.arange(height * width).reshape(height, width, 1)
    if size[0] > height or size[1] > width:
        with pytest.raises(DataError, match=f"{height}x{width}.*{size[0]}x{size[1]}"):
            images.center(x, size)
        return
    middle = images.center(x, size)
    assert middle.shape == (*size, 1)
    top, left = divmod(int(middle[0, 0, 0]), width)
    assert 0 <= height - size[0] - 2 * top <= 1
    assert 0 <= width - size[1] - 2 * left <= 1


@pytest.mark.parametrize("length", [100, 256, 391, 512])
def test_a_part_of_a_resized_image_is_computed_for_the_part_alone(
    pixels: np.ndarray, length: int
) -> None:
    whole = length, round(640 * length / 427)
    expected = resized(pixels, *whole)
    for top, left in [(0, 0), (length - 64, whole[1] - 64), (7, 13)]:
        part = images.resized_part(pixels, whole, top, left, (64, 64))
        difference = part.astype(int) - expected[top : top + 64, left : left + 64]
        # Pillow rounds its filter's weights to 22 bits: once in thousands a value tips over
        assert np.abs(difference).max() <= 1
        assert (difference != 0).mean() < 1e-2


def test_covering_is_what_run_shows_a_net(photograph: Path, pixels: np.ndarray) -> None:
    for size in [(224, 224), (32, 100)]:
        shown = load_image(photograph, Shape((*size, 3)))[0].permute(1, 2, 0).numpy()
        assert np.array_equal(images.covering(pixels, size) / np.float32(255), shown)


def test_grey_weighs_the_colours_as_the_eye_does() -> None:
    primaries = np.diag([255, 255, 255]).astype(np.uint8)[np.newaxis]
    grey = images.with_channels(primaries, 1)
    assert grey.shape == (1, 3, 1)
    assert grey.ravel() == pytest.approx([0.299 * 255, 0.587 * 255, 0.114 * 255], abs=1)


def test_grey_in_three_channels_is_three_times_the_same() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert np.array_equal(images.with_channels(grey, 3), np.repeat(grey, 3, axis=2))
