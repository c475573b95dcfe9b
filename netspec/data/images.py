"""Read images from files; resize, crop and reflect them, and convert them to grey.

Images are [H, W, C], and sizes (height, width).  Pillow resizes them, with a bicubic filter unless
another is named.  Its filters become wider as the image gets smaller, which prevents aliasing
(except for ``nearest``); ``reducing_gap``, which is faster but less exact, is not used.
"""

from __future__ import annotations

import builtins
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
"""An image as the input of a net, float32 [H, W, C]."""
Kind = TypeVar("Kind", bound=np.generic)

FILTER = Image.Resampling.BICUBIC

MOST_PIXELS = 2**26
"""Maximum number of pixels of an image.  Reading takes up to 14 bytes per pixel: 0.9 GiB."""

FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "TGA",
    "TIFF", "WEBP",
)  # fmt: skip
"""Formats of Pillow that have the image size at the beginning, so that it can be checked before
anything is unpacked.  Other formats run a program (EPS) or contain other formats (ICO, ICNS)."""


@cache
def suffixes() -> tuple[str, ...]:
    """Return the file name suffixes of :data:`FORMATS` in Pillow, in lower case."""
    formats = _formats()
    known = Image.registered_extensions().items()
    return tuple(sorted(suffix for suffix, name in known if name in formats))


def read_image(source: str | Path | IO[bytes], name: str) -> Image.Image:
    """Return an image in RGB, rotated as its EXIF data says, on white where it is transparent.

    Args:
        source: a path or an open file, in one of :data:`FORMATS`.
        name: name of the image for messages.

    Raises:
        DataError: if the file is missing, not an image, corrupt, or has more pixels than
            :data:`MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # some images of ImageNet have damaged EXIF data, but intact pixels
            warnings.filterwarnings("ignore", "Corrupt EXIF data|Truncated File Read", UserWarning)
            return _upright_on_white(source)
    except FileNotFoundError:
        raise DataError(f"cannot read {name}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"cannot read {name}: it is not an image ({', '.join(FORMATS)})") from None
    except Exception as error:  # Pillow raises exceptions of many types for damaged files
        raise DataError(f"cannot read {name}: {message_of(error)}") from None


def pixels_in(image: Image.Image) -> Image.Image:
    """Return an image of the caller's in RGB, as :func:`read_image` does; it is not changed.

    Raises:
        DataError: its file is corrupt, or it cannot be used.
    """
    try:
        return in_rgb(image.copy())
    except Exception as error:  # Pillow reads the file now, and raises exceptions of many types
        raise DataError(f"cannot use the image: {message_of(error)}") from None


def _upright_on_white(source: str | Path | IO[bytes]) -> Image.Image:
    # memory: an image has about 4 bytes per pixel, and at most three of them exist at once
    with Image.open(source, formats=_formats()) as image:
        return in_rgb(image)


def in_rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB, rotated as its EXIF data says, on white where it is transparent.

    The argument itself is rotated too.

    Raises:
        ValueError: if it has more pixels than :data:`MOST_PIXELS`, or floating-point pixels.
    """
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width:,} x {image.height:,}"
        raise ValueError(f"it has {size} pixels, more than {MOST_PIXELS:,} in total: scale it down")
    if image.mode == "F":
        raise ValueError(
            "it has floating-point pixels, whose range is not known: save it with 8 or 16 bits"
        )
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
    """Return the formats in :data:`FORMATS` that the installed Pillow can read."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def shorter(
    pixels: Pixels, size: int, *, filter: str = "bicubic", round: str = "nearest"
) -> Pixels:
    """Return an image [H, W, C] resized so that its shorter side has ``size`` pixels."""
    return resized(pixels, *shorter_size(pixels.shape, size, round=round), filter=filter)


def shorter_size(whole: Sequence[int], size: int, *, round: str = "nearest") -> tuple[int, int]:
    """Return the new height and width if the shorter side of an image gets ``size`` pixels.

    Args:
        whole: old height and width.
        size: new length of the shorter side.
        round: rounding of the longer side: ``nearest``, or down (``floor``).
    """
    height, width = whole[:2]
    least = min(height, width)
    if round == "floor":
        return size * height // least, size * width // least
    return builtins.round(height * size / least), builtins.round(width * size / least)


def resized(pixels: Pixels, height: int, width: int, *, filter: str = "bicubic") -> Pixels:
    """Return an image [H, W, C] resized to a height and width with one of Pillow's filters."""
    if pixels.shape[:2] == (height, width):
        return pixels
    resampling = Image.Resampling[filter.upper()]
    return _pixels(_image(pixels).resize((width, height), resampling))


def resized_part(
    pixels: Pixels, whole: Sequence[int], top: int, left: int, size: Sequence[int]
) -> Pixels:
    """Return ``resized(pixels, *whole)[top : top + H, left : left + W]`` for ``size = (H, W)``.

    Only the part is computed.  The filter also reads the pixels around the part, so the result
    differs only by rounding.
    """
    down, across = (given / wanted for given, wanted in zip(pixels.shape, whole, strict=False))
    height, width = size
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    box = (*box[:2], min(box[2], pixels.shape[1]), min(box[3], pixels.shape[0]))
    return _pixels(_image(pixels).resize((width, height), FILTER, box=box))


def covering(pixels: Pixels, size: Sequence[int]) -> Pixels:
    """Return an image resized to cover ``size``, with its centre cut out (not on whole pixels)."""
    return _pixels(ImageOps.fit(_image(pixels), (size[1], size[0]), FILTER))


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return an image in grey (ITU-R 601: 0.299 R + 0.587 G + 0.114 B) or in RGB."""
    if pixels.shape[2] == channels:
        return pixels
    return _pixels(_image(pixels).convert("L" if channels == 1 else "RGB"))


def cut(image: NDArray[Kind], top: int, left: int, size: Sequence[int]) -> NDArray[Kind]:
    """Return the part of an image that begins at ``top`` and ``left``, as a view."""
    return image[top : top + size[0], left : left + size[1]]


def slack(whole: Sequence[int], size: Sequence[int]) -> Pair:
    """Return by how many pixels an image is larger than a part of it: (down, across).

    Raises:
        DataError: if it is smaller.
    """
    height, width = whole[0] - size[0], whole[1] - size[1]
    if min(height, width) < 0:
        raise DataError(
            f"the image is {by(whole[:2])}, smaller than the {by(size)} pixels of the crop: "
            "resize it first, with `shorter` or `resize` in the spec's `prepare`"
        )
    return height, width


def center(image: NDArray[Kind], size: Sequence[int], *, round: str = "floor") -> NDArray[Kind]:
    """Return the centre of an image, as a view.

    If a margin is odd, the top or left margin is the smaller one (``round="floor"``); with
    ``round="even"`` half a pixel is rounded to the even number, as in torchvision's
    ``center_crop``.

    Raises:
        DataError: if the image is smaller than ``size``.
    """
    down, across = slack(image.shape, size)
    if round == "even":
        return cut(image, builtins.round(down / 2), builtins.round(across / 2), size)
    return cut(image, down // 2, across // 2, size)


def ten_crops(image: NDArray[Kind], size: Sequence[int]) -> NDArray[Kind]:
    """Return the four corners and the centre of an image, and their reflections.

    AlexNet paper, section 4.1.

    Returns:
        [10, H, W, C]: top left, top right, bottom left, bottom right, centre; then the reflections
        of these five.

    Raises:
        DataError: if the image is smaller than ``size``.
    """
    down, across = slack(image.shape, size)
    corners = [(0, 0), (0, across), (down, 0), (down, across)]
    five = [cut(image, *place, size) for place in corners] + [center(image, size)]
    return np.stack([*five, *(reflected(part) for part in five)])


def reflected(image: NDArray[Kind]) -> NDArray[Kind]:
    """Return an image with left and right exchanged, as a view."""
    return image[:, ::-1]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _pixels(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
