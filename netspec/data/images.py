"""Images: read from files, resized, cropped, reflected, and in grey.

Images are [H, W, C], and sizes (height, width).  Resizing is Pillow's bicubic one: its filter
widens with the reduction, so nothing is aliased, and no step is left out (no ``reducing_gap``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from netspec.data.dataset import Pixels
from netspec.errors import DataError
from netspec.files.reading import message_of
from netspec.ir.shapes import Pair
from netspec.ir.symbols import by

Values: TypeAlias = NDArray[np.float32]
"""An image as a net takes it, [H, W, C]."""
Kind = TypeVar("Kind", bound=np.generic)

FILTER = Image.Resampling.BICUBIC

MOST_PIXELS = 2**26
"""In an image.  At 14 bytes a pixel, which reading takes at most, that is 0.9 GiB."""

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "TGA",
    "TIFF", "WEBP",
)  # fmt: skip
"""Formats of Pillow whose size stands at their beginning, so that it is known before anything is
unpacked.  Others run a program (EPS) or hold files of other formats (ICO, ICNS)."""


@cache
def suffixes() -> tuple[str, ...]:
    """Return the endings of names, in small letters, that Pillow gives to :data:`FORMATS`."""
    formats = _formats()
    known = Image.registered_extensions().items()
    return tuple(sorted(suffix for suffix, name in known if name in formats))


def read_image(source: str | Path | IO[bytes], name: str) -> Image.Image:
    """An image in RGB, upright as its EXIF data says, on white where it is transparent.

    Args:
        source: a path or an open file, in one of :data:`FORMATS`.
        name: what messages call it.

    Raises:
        DataError: it is missing, or no image, or corrupt, or larger than :data:`MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # spoilt EXIF data in a sound image, of which ImageNet has some
            warnings.filterwarnings("ignore", "Corrupt EXIF data|Truncated File Read", UserWarning)
            return _upright_on_white(source)
    except FileNotFoundError:
        raise DataError(f"cannot read {name}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"cannot read {name}: it is not an image ({', '.join(FORMATS)})") from None
    except Exception as error:  # Pillow's readers raise whatever a spoilt file makes them run into
        raise DataError(f"cannot read {name}: {message_of(error)}") from None


def _upright_on_white(source: str | Path | IO[bytes]) -> Image.Image:
    """An image is some 4 bytes a pixel, and three of them are held at once at most."""
    image: Image.Image = Image.open(source, formats=_formats())
    with image:
        if image.width * image.height > MOST_PIXELS:
            size = f"{image.width:,} x {image.height:,}"
            raise ValueError(f"it has {size} pixels, over {MOST_PIXELS:,} in all: scale it down")
        if image.mode == "F":
            raise ValueError("floating-point pixels have no range: save it with 8 or 16 bits")
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or image.mode == "I":
        scaled = np.asarray(image).astype(np.float32)
        scaled /= 257
        image = Image.fromarray(scaled.clip(0, 255, out=scaled).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _formats() -> list[str]:
    """Return those of :data:`FORMATS` that the installed Pillow reads."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def shorter(pixels: Pixels, size: int) -> Pixels:
    """An image [H, W, C] rescaled so that its shorter side has ``size`` pixels, bicubic."""
    return resized(pixels, *shorter_size(pixels.shape, size))


def shorter_size(whole: Sequence[int], size: int) -> tuple[int, int]:
    """Height and width of an image whose shorter side gets ``size`` pixels."""
    height, width = whole[:2]
    least = min(height, width)
    return round(height * size / least), round(width * size / least)


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """An image [H, W, C] rescaled to this height and width, bicubic, without aliasing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return _pixels(_image(pixels).resize((width, height), FILTER))


def resized_part(
    pixels: Pixels, whole: Sequence[int], top: int, left: int, size: Sequence[int]
) -> Pixels:
    """``resized(pixels, whole)[top : top + H, left : left + W]``, computed for the part alone.

    The filter sees the pixels around the part too, so that the two differ by rounding only.
    """
    down, across = (given / wanted for given, wanted in zip(pixels.shape, whole, strict=False))
    height, width = size
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    box = (*box[:2], min(box[2], pixels.shape[1]), min(box[3], pixels.shape[0]))
    return _pixels(_image(pixels).resize((width, height), FILTER, box=box))


def covering(pixels: Pixels, size: Sequence[int]) -> Pixels:
    """An image resized until it covers a size, and cut at its centre, to fractions of a pixel."""
    return _pixels(ImageOps.fit(_image(pixels), (size[1], size[0]), FILTER))


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """An image in grey (ITU-R 601: 0.299 R + 0.587 G + 0.114 B), or in RGB."""
    if pixels.shape[2] == channels:
        return pixels
    return _pixels(_image(pixels).convert("L" if channels == 1 else "RGB"))


def cut(image: NDArray[Kind], top: int, left: int, size: Sequence[int]) -> NDArray[Kind]:
    """The part of an image that begins at a place; a view."""
    return image[top : top + size[0], left : left + size[1]]


def slack(whole: Sequence[int], size: Sequence[int]) -> Pair:
    """How many pixels an image of a size is larger than a part, down and across.

    Raises:
        DataError: it is smaller.
    """
    height, width = whole[0] - size[0], whole[1] - size[1]
    if min(height, width) < 0:
        raise DataError(
            f"the image is {by(whole[:2])}, and {by(size)} pixels are cut out of it: "
            "resize it first, with `shorter` or `resize` in the spec's `prepare`"
        )
    return height, width


def center(image: NDArray[Kind], size: Sequence[int]) -> NDArray[Kind]:
    """The middle of an image; where it cannot be halved, the pixel less is above or on the left.

    Raises:
        DataError: the image is smaller.
    """
    down, across = slack(image.shape, size)
    return cut(image, down // 2, across // 2, size)


def ten_crops(image: NDArray[Kind], size: Sequence[int]) -> NDArray[Kind]:
    """Four corners and the middle, and then the reflections of these five (AlexNet, section 4.1).

    Returns:
        [10, H, W, C]: top left, top right, bottom left, bottom right, middle; their reflections.

    Raises:
        DataError: the image is smaller than the size.
    """
    down, across = slack(image.shape, size)
    corners = [(0, 0), (0, across), (down, 0), (down, across)]
    five = [cut(image, *place, size) for place in corners] + [center(image, size)]
    return np.stack([*five, *(reflected(part) for part in five)])


def reflected(image: NDArray[Kind]) -> NDArray[Kind]:
    """An image as in a mirror: left is right.  A view."""
    return image[:, ::-1]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _pixels(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
