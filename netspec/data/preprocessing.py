"""``prepare``: from an image to the values of a net's input, the same in training and in use.

First the geometry, ``shorter``, ``resize`` and ``center``, on pixels of 8 bits; then the values,
``range`` and ``subtract``, which together are ``scale * pixels + shift``.  Without ``range`` values
are 0..255, as the AlexNet paper's are (section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.data.images import Values, center, covering, read_image, ten_crops, with_channels
from netspec.errors import DataError
from netspec.ir.recipe import Range, Recipe, RecipeStep, Subtract, TenCrop
from netspec.ir.shapes import Shape
from netspec.data.geometry import Geometry, require_images
from netspec.training.statistics import Statistics

if TYPE_CHECKING:
    from torch import Tensor

WHITE = 255


class View(Protocol):
    """From an image [H, W, 1 or 3] to what is shown to the net of it: [views, H, W, C]."""

    count: int
    """How many views: one or ten."""

    def __call__(self, pixels: Pixels) -> Values: ...


class Scaling:
    """The steps that change values: ``scale * pixels + shift``.

    Attributes:
        scale: a factor.
        shift: a number; one a channel [C]; or one a value [H, W, C].

    Raises:
        DataError: a mean is to be subtracted that the statistics do not have, or a second one.
    """

    def __init__(self, steps: Sequence[RecipeStep], statistics: Statistics | None) -> None:
        self.scale = 1.0
        shift: NDArray[np.float64] = np.zeros(())
        subtracts = [step for step in steps if isinstance(step, Subtract)]
        if len(subtracts) > 1:
            raise DataError("`prepare` subtracts twice: keep one `subtract` in the spec")
        for step in steps:
            match step:
                case Range(low=low, high=high):
                    factor = (high - low) / WHITE
                    self.scale, shift = self.scale * factor, shift * factor + low
                case Subtract(what=what, over=over):
                    if statistics is None:
                        raise DataError(
                            f"`subtract {what} {over}` needs the statistics of the training set"
                        )
                    # the mean of what arrives is scale * mean + shift, and the shift cancels
                    shift = -self.scale * statistics.of(what, over)
        self.shift: Values = shift.astype(np.float32)

    def __call__(self, pixels: Pixels) -> Values:
        """The values of an image [H, W, C], in new memory."""
        values: Values = pixels.astype(np.float32)
        if self.scale != 1:
            values *= np.float32(self.scale)
        if self.shift.ndim == 3 and self.shift.shape != pixels.shape:
            raise DataError(
                f"the image is {Shape(pixels.shape)} where the mean image is "
                f"{Shape(self.shift.shape)}: prepare all of them to one size, with `resize`, or "
                "with `shorter` and `center`; or subtract the mean of each channel"
            )
        if self.shift.ndim == 1:  # a row at a time: NumPy is slow with three values in a row
            rows = values.reshape(len(values), -1)
            rows += np.tile(self.shift, pixels.shape[1])
        elif self.shift.any():
            values += self.shift
        return values


class Prepare:
    """A recipe's ``prepare``.

    Args:
        steps: as in the recipe.
        shape: of the net's input, height x width x channels.
        statistics: of the training set; needed by ``subtract``.

    Raises:
        DataError: the net takes no images; a size is changed behind ``range`` or ``subtract``;
            or a mean is to be subtracted that is not there.
    """

    def __init__(
        self, steps: Sequence[RecipeStep], shape: Shape, statistics: Statistics | None
    ) -> None:
        require_images(shape)
        is_value = [isinstance(step, Range | Subtract) for step in steps]
        if is_value != sorted(is_value):
            late = steps[len(steps) - 1 - is_value[::-1].index(False)].name
            raise DataError(
                f"`{late}` stands behind `range` or `subtract` in `prepare`: "
                "put what changes sizes before what changes values"
            )
        self.geometry = Geometry(steps, shape.channels)
        self.scaling = Scaling(steps, statistics)

    def __call__(self, pixels: Pixels) -> Values:
        """An image [H, W, 1 or 3] as values [h, w, C], perhaps larger than the net's input.

        Raises:
            DataError: it is smaller than what is cut out of it, or than the mean image.
        """
        return self.scaling(self.geometry(pixels))


def for_testing(recipe: Recipe | None, shape: Shape, statistics: Statistics | None) -> View:
    """What an image is shown to a net as: its centre, or ten crops if the recipe says so.

    Without a recipe an image is resized until it covers the input, cut at its centre, and scaled
    to 0..1.

    Raises:
        DataError: as :class:`Prepare`.
    """
    require_images(shape)
    if recipe is None:
        return _Covering(shape)
    is_ten = any(isinstance(step, TenCrop) for step in recipe.evaluate)
    return (_TenCrops if is_ten else _Centre)(Prepare(recipe.prepare, shape, statistics), shape)


def load_image(path: str | Path, shape: Shape) -> Tensor:
    """An image, resized until it covers the input and cropped at its centre.

    Args:
        path: any file that Pillow reads; turned upright as its EXIF data says, grey for a net of
            one channel, on white where it is transparent.
        shape: the input's height x width x channels.

    Returns:
        A tensor [1, C, H, W], float32, 0 for black to 1 for white.

    Raises:
        DataError: the file is no image, or the net takes no images.
    """
    import torch

    view = for_testing(None, shape, None)
    try:
        values = view(np.asarray(read_image(path, str(path))))
    except (OverflowError, MemoryError):
        size = f"{shape[1]} x {shape[0]}"
        raise DataError(f"cannot resize {path} to {size} pixels: too large") from None
    return torch.from_numpy(values.transpose(0, 3, 1, 2).copy())


class _Covering(View):
    count = 1

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def __call__(self, pixels: Pixels) -> Values:
        fitted = covering(pixels, self.shape[:2])
        pixels = with_channels(fitted, self.shape.channels)
        return pixels[np.newaxis].astype(np.float32) / np.float32(WHITE)


class _Centre(View):
    count = 1

    def __init__(self, prepare: Prepare, shape: Shape) -> None:
        self.prepare, self.shape = prepare, shape

    def __call__(self, pixels: Pixels) -> Values:
        return center(self.prepare(pixels), self.shape[:2])[np.newaxis]


class _TenCrops(_Centre):
    count = 10

    def __call__(self, pixels: Pixels) -> Values:
        return ten_crops(self.prepare(pixels), self.shape[:2])
