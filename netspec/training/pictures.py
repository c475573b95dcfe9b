"""Parts and reflections of pictures, and pictures in grey.

Pictures are [H, W, C], and sizes (height, width).  Resizing is Pillow's bicubic one: its filter
widens with the reduction, so nothing is aliased, and no step is left out (no ``reducing_gap``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from netspec.data.dataset import Pixels
from netspec.errors import DataError
from netspec.ir.shapes import Pair
from netspec.ir.symbols import by

Values: TypeAlias = NDArray[np.float32]
"""A picture as a net takes it, [H, W, C]."""
Kind = TypeVar("Kind", bound=np.generic)

FILTER = Image.Resampling.BICUBIC


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
    """A picture resized until it covers a size, and cut at its centre, to fractions of a pixel."""
    return _pixels(ImageOps.fit(_image(pixels), (size[1], size[0]), FILTER))


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """A picture in grey (ITU-R 601: 0.299 R + 0.587 G + 0.114 B), or in RGB."""
    if pixels.shape[2] == channels:
        return pixels
    return _pixels(_image(pixels).convert("L" if channels == 1 else "RGB"))


def cut(picture: NDArray[Kind], top: int, left: int, size: Sequence[int]) -> NDArray[Kind]:
    """The part of a picture that begins at a place; a view."""
    return picture[top : top + size[0], left : left + size[1]]


def slack(whole: Sequence[int], size: Sequence[int]) -> Pair:
    """How many pixels a picture of a size is larger than a part, down and across.

    Raises:
        DataError: it is smaller.
    """
    height, width = whole[0] - size[0], whole[1] - size[1]
    if min(height, width) < 0:
        raise DataError(
            f"the picture is {by(whole[:2])}, and {by(size)} pixels are cut out of it: "
            "resize it first, with `shorter` or `resize` in the spec's `prepare`"
        )
    return height, width


def center(picture: NDArray[Kind], size: Sequence[int]) -> NDArray[Kind]:
    """The middle of a picture; where it cannot be halved, the pixel less is above or on the left.

    Raises:
        DataError: the picture is smaller.
    """
    down, across = slack(picture.shape, size)
    return cut(picture, down // 2, across // 2, size)


def ten_crops(picture: NDArray[Kind], size: Sequence[int]) -> NDArray[Kind]:
    """Four corners and the middle, and then the reflections of these five (AlexNet, section 4.1).

    Returns:
        [10, H, W, C]: top left, top right, bottom left, bottom right, middle; their reflections.

    Raises:
        DataError: the picture is smaller than the size.
    """
    down, across = slack(picture.shape, size)
    corners = [(0, 0), (0, across), (down, 0), (down, across)]
    five = [cut(picture, *place, size) for place in corners] + [center(picture, size)]
    return np.stack([*five, *(reflected(part) for part in five)])


def reflected(picture: NDArray[Kind]) -> NDArray[Kind]:
    """A picture as in a mirror: left is right.  A view."""
    return picture[:, ::-1]


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _pixels(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
