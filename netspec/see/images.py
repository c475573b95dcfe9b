"""Images for pictures: the part of an image that a net sees, as pixels and as its input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.data.dataset import Pixels
from netspec.data.geometry import Geometry, require_images
from netspec.data.images import center, covering, with_channels
from netspec.data.preprocessing import WHITE, MeanImage, Scaling
from netspec.errors import DataError
from netspec.inference.classify import Picture, name_of_picture, pictures_in, pixels_of
from netspec.ir.expects import Expects
from netspec.ir.recipe import Range
from netspec.ir.shapes import Shape

Given: TypeAlias = Picture | Iterable[Picture]
"""One image or several, as :func:`netspec.classify` takes them."""

GREY = 128


@dataclass(frozen=True)
class Sample:
    """The part of an image that the net sees.

    Attributes:
        name: path of the image, or ``the image``.
        pixels: uint8 [H, W, C], the size and channels of the net's input.
    """

    name: str
    pixels: Pixels


class Preparation:
    """The preprocessing of a net in two steps: its part of an image, and the values of pixels.

    A picture shows the first, and changes it (a grey square, a shift) before the second.  With
    several views, such as ten crops, it is the centre.

    Args:
        expects: the preprocessing that the net expects.
        shape: size of the net's input, height x width x channels.

    Raises:
        DataError: the input of the net is not an image, or statistics are missing.
    """

    def __init__(self, expects: Expects, shape: Shape) -> None:
        require_images(shape)
        self.shape = shape
        self._geometry = (
            None if expects.prepare is None else Geometry(expects.prepare, shape.channels)
        )
        steps = (Range(low=0.0, high=1.0),) if expects.prepare is None else expects.prepare
        means = None if expects.image is None else MeanImage(expects.image)
        self._scaling = Scaling(steps, means, shape.channels)
        if self._scaling.shift.ndim == 3:
            # a mean image has the size before the crop: values of the crop need its centre
            self._scaling.shift = center(self._scaling.shift, shape[:2])

    def sample(self, picture: Picture) -> Sample:
        """Return the part of an image that the net sees.

        Raises:
            TypeError, ValueError: it is not an image.
            DataError: the file cannot be read, or the image is smaller than its part.
        """
        name, size = name_of_picture(picture), self.shape[:2]
        pixels = pixels_of(picture)
        try:
            if self._geometry is None:
                part = with_channels(covering(pixels, size), self.shape.channels)
            else:
                part = center(self._geometry(pixels), size)
        except (OverflowError, MemoryError):
            raise DataError(f"cannot resize {name}: too large") from None
        return Sample(name, np.ascontiguousarray(part))

    def samples(self, images: Given) -> list[Sample]:
        """Return the parts of one image or several; raise ValueError if there are none."""
        samples = [self.sample(picture) for picture in pictures_in(images)]
        if not samples:
            raise ValueError("images must be one image or several, not an empty sequence")
        return samples

    def batch(self, pixels: Sequence[Pixels], dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the net's input [N, C, H, W] for images [H, W, C] of its size."""
        values = np.stack([self._scaling(image) for image in pixels])
        return torch.from_numpy(values).movedim(-1, 1).to(dtype)

    def pixels(self, values: Tensor) -> Pixels:
        """Return the images [N, H, W, C] whose input [N, C, H, W] is given: the inverse of `batch`.

        Pixels that all become one value (``range low=0, high=0``) are 0.
        """
        images = values.detach().movedim(-3, -1).double().numpy()
        if self._scaling.is_reversed:
            images = images[..., ::-1]
        shifted, scale = images - self._scaling.shift, self._scaling.scale
        pixels = np.divide(shifted, scale, out=np.zeros_like(images), where=scale != 0)
        rounded: Pixels = np.rint(pixels).clip(0, WHITE).astype(np.uint8)
        return np.ascontiguousarray(rounded)

    def differences(self, values: Tensor) -> NDArray[np.float32]:
        """Return differences of the net's input as differences of pixels.

        Args:
            values: [..., C, H, W]; a difference, such as a projection, is 0 where nothing changes.

        Returns:
            [..., H, W, C], with channels in the order of images, of 0..255 for the whole range.
        """
        differences = values.detach().movedim(-3, -1).double().numpy()
        if self._scaling.is_reversed:
            differences = differences[..., ::-1]
        return (differences / self._scaling.scale).astype(np.float32)

    def grey(self) -> Pixels:
        """Return a grey image [H, W, C], the colour of occluded pixels."""
        return np.full(tuple(self.shape), GREY, np.uint8)
