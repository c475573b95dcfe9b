from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netspec import DataError, load_image
from netspec.ir.shapes import Shape


def save(pixels: np.ndarray, path: Path, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_photograph_fills_the_input(photograph: Path) -> None:
    x = load_image(photograph, Shape((224, 224, 3)))
    assert x.shape == (1, 3, 224, 224)
    assert x.dtype == torch.float32
    assert 0 <= x.min() < 0.1
    assert 0.9 < x.max() <= 1


def test_the_centre_is_kept_and_proportions_too(tmp_path: Path) -> None:
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 255
    x = load_image(save(pixels, tmp_path / "a.png"), Shape((40, 40, 3)))
    assert (x == 1).all()


def test_pixels_of_the_right_size_are_untouched(tmp_path: Path) -> None:
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    x = load_image(save(pixels, tmp_path / "a.png"), Shape((8, 8, 3)))
    assert torch.equal(x, torch.from_numpy(pixels.transpose(2, 0, 1)[None] / np.float32(255)))


def test_a_net_of_one_channel_sees_grey(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    x = load_image(save(pixels, tmp_path / "a.png"), Shape((8, 8, 1)))
    assert x.shape == (1, 1, 8, 8)
    assert x.mean().item() == pytest.approx(76 / 255, abs=0.01)  # 0.299 of red, ITU-R 601


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    pixels = np.full((8, 8), 32768, np.uint16)
    x = load_image(save(pixels, tmp_path / "a.png"), Shape((8, 8, 1)))
    assert x.mean().item() == pytest.approx(0.5, abs=0.01)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    x = load_image(save(pixels, tmp_path / "a.png"), Shape((8, 8, 3)))
    assert (x == 1).all()


def test_a_camera_held_sideways_is_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    x = load_image(save(pixels, tmp_path / "a.png", exif=exif), Shape((8, 8, 3)))
    assert (x[..., 4:] == 1).all()
    assert (x[..., :4] == 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "YCbCr", "LA"])
def test_every_mode_is_read(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    Image.new("RGB", (9, 5), "white").convert(mode).save(path)
    assert load_image(path, Shape((4, 4, 3))).min() > 0.9


def test_what_is_no_image_is_named(tmp_path: Path, photograph: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("hello")
    half = tmp_path / "half.jpg"
    half.write_bytes(photograph.read_bytes()[:50_000])
    for path in (text, half, tmp_path, tmp_path / "none.png"):
        with pytest.raises(DataError, match=str(path)):
            load_image(path, Shape((8, 8, 3)))


def test_a_net_that_takes_no_images_says_so(photograph: Path) -> None:
    for shape in (Shape((8, 8, 5)), Shape((10,))):
        with pytest.raises(DataError, match="channels"):
            load_image(photograph, shape)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="floating-point pixels, whose range is not known"):
        load_image(tmp_path / "a.tif", Shape((8, 8, 1)))


def test_an_input_too_large_to_resize_to_is_refused(photograph: Path) -> None:
    with pytest.raises(DataError, match="too large"):
        load_image(photograph, Shape((1, 10**12, 1)))
