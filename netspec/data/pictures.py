"""Pictures from files, and the paper's way to a square of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from netspec.data.dataset import Pixels
from netspec.errors import DataError
from netspec.files.reading import message_of

MOST_PIXELS = 2**26
"""In a picture.  At 14 bytes a pixel, which reading takes at most, that is 0.9 GiB."""

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "TGA",
    "TIFF", "WEBP",
)  # fmt: skip
"""Formats of Pillow whose size stands at their beginning, so that it is known before anything is
unpacked.  Others run a program (EPS) or hold files of other formats (ICO, ICNS)."""

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_picture(source: str | Path | IO[bytes], name: str) -> Image.Image:
    """A picture in RGB, upright as its EXIF data says, on white where it is transparent.

    Args:
        source: a path or an open file, in one of :data:`FORMATS`.
        name: what messages call it.

    Raises:
        DataError: it is missing, or no picture, or corrupt, or larger than :data:`MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # spoilt EXIF data in a sound picture, of which ImageNet has some
            warnings.filterwarnings("ignore", "Corrupt EXIF data|Truncated File Read", UserWarning)
            return _upright_on_white(source)
    except FileNotFoundError:
        raise DataError(f"cannot read {name}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"cannot read {name}: it is not a picture ({', '.join(FORMATS)})") from None
    except Exception as error:  # Pillow's readers raise whatever a spoilt file makes them run into
        raise DataError(f"cannot read {name}: {message_of(error)}") from None


def _upright_on_white(source: str | Path | IO[bytes]) -> Image.Image:
    """A picture is some 4 bytes a pixel, and three of them are held at once at most."""
    picture: Image.Image = Image.open(source, formats=_formats())
    with picture:
        if picture.width * picture.height > MOST_PIXELS:
            size = f"{picture.width:,} x {picture.height:,}"
            raise ValueError(f"it has {size} pixels, over {MOST_PIXELS:,} in all: scale it down")
        if picture.mode == "F":
            raise ValueError("floating-point pixels have no range: save it with 8 or 16 bits")
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I;16") or picture.mode == "I":
        scaled = np.asarray(picture).astype(np.float32)
        scaled /= 257
        picture = Image.fromarray(scaled.clip(0, 255, out=scaled).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _formats() -> list[str]:
    """Return those of :data:`FORMATS` that the installed Pillow reads."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def shorter(pixels: Pixels, size: int) -> Pixels:
    """A picture [H, W, C] rescaled so that its shorter side has ``size`` pixels, bicubic."""
    return resized(pixels, *shorter_size(pixels.shape, size))


def shorter_size(whole: Sequence[int], size: int) -> tuple[int, int]:
    """Height and width of a picture whose shorter side gets ``size`` pixels."""
    height, width = whole[:2]
    least = min(height, width)
    return round(height * size / least), round(width * size / least)


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """A picture [H, W, C] rescaled to this height and width, bicubic, without aliasing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    scaled = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    return scaled.reshape(height, width, pixels.shape[2])


def center(pixels: Pixels, height: int, width: int) -> Pixels:
    """The middle of a picture [H, W, C] that has at least this height and width."""
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    assert top >= 0 <= left
    return pixels[top : top + height, left : left + width]
