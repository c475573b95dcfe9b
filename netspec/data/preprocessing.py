"""``prepare``: from an image to the values of a net's input, the same in training and in use.

First the geometry, ``shorter``, ``resize`` and ``center``, on pixels of 8 bits; then the values,
which all other steps together change to ``scale * pixels + shift``.  Without ``range`` or
``divide`` values are 0..255, as the AlexNet paper's are (section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.data.geometry import Geometry, require_images
from netspec.data.images import Values, center, covering, read_image, ten_crops, with_channels
from netspec.errors import DataError
from netspec.ir.expects import Expects
from netspec.ir.recipe import (
    Center,
    Divide,
    Invert,
    Numbers,
    Order,
    Range,
    Recipe,
    RecipeStep,
    Resize,
    Shorter,
    Subtract,
    SubtractNumbers,
    TenCrop,
)
from netspec.ir.shapes import Shape
from netspec.ir.words import plural

if TYPE_CHECKING:
    from torch import Tensor

WHITE = 255


class Means(Protocol):
    """The means and medians of a training set."""

    def of(self, kind: str, over: str) -> NDArray[np.float64]:
        """Return what ``subtract KIND OVER`` subtracts."""


class View(Protocol):
    """From an image [H, W, 1 or 3] to what is shown to the net of it: [views, H, W, C]."""

    count: int
    """How many views: one or ten."""

    def __call__(self, pixels: Pixels) -> Values: ...


class Scaling:
    """The steps that change values: ``scale * pixels + shift``, then perhaps RGB becomes BGR.

    Attributes:
        scale: a factor; or one a channel [C].
        shift: a number; one a channel [C]; or one a value [H, W, C].
        exact_shift: the shift in float64.
        is_reversed: whether the channels are put in the other order at the end.

    Raises:
        DataError: a mean is to be subtracted that the statistics do not have, or a second one; or a
            step has another number of channels than the image.
    """

    def __init__(
        self, steps: Sequence[RecipeStep], statistics: Means | None, channels: int = 3
    ) -> None:
        scale: NDArray[np.float64] = np.ones(())
        shift: NDArray[np.float64] = np.zeros(())
        self.is_reversed = False
        if sum(isinstance(step, Subtract) for step in steps) > 1:
            raise DataError("`prepare` subtracts twice: keep one `subtract` in the spec")
        for step in steps:
            match step:
                case Range(low=low, high=high):
                    factor = (high - low) / WHITE
                    scale, shift = scale * factor, shift * factor + low
                case Invert():  # what was black becomes what was white: x -> black + white - x
                    scale, shift = -scale, shift + WHITE * scale
                case Order(channels=order):
                    if channels == 1 and order == "bgr":
                        raise DataError("`order bgr` is for images of three channels")
                    if (order == "bgr") != self.is_reversed:
                        self.is_reversed = not self.is_reversed
                        scale, shift = _reversed(scale), _reversed(shift)
                case Subtract(what=what, over=over):
                    if statistics is None:
                        raise DataError(
                            f"`subtract {what} {over}` needs the statistics of the training set"
                        )
                    # the mean of what arrives is scale * mean + shift, and the shift cancels
                    mean = statistics.of(what, over)
                    shift = -scale * (_reversed(mean) if self.is_reversed else mean)
                case SubtractNumbers():
                    shift = shift - self._of_channels(step, channels)
                case Divide():
                    divisor = self._of_channels(step, channels)
                    scale, shift = scale / divisor, shift / divisor
        if self.is_reversed:  # as applied to the image in the order it comes in
            scale, shift = _reversed(scale), _reversed(shift)
        self.scale, self.exact_shift = scale, shift
        self.shift: Values = shift.astype(np.float32)

    @staticmethod
    def _of_channels(step: Numbers, channels: int) -> NDArray[np.float64]:
        numbers = step.numbers
        if len(numbers) not in (1, channels):
            raise DataError(
                f"`{step.name}` has {len(numbers)} numbers, and images have {channels} "
                f"{plural('channel', channels)}: give one number, or one a channel"
            )
        return np.array(numbers[0] if len(numbers) == 1 else numbers)

    def __call__(self, pixels: Pixels) -> Values:
        """The values of an image [H, W, C], in new memory."""
        values: Values = pixels.astype(np.float32)
        if (self.scale != 1).any():
            values *= self.scale.astype(np.float32)
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
        return np.ascontiguousarray(values[..., ::-1]) if self.is_reversed else values

    def of_values(self, colour: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a colour [C] of pixels of 0..255 as the values of the net have it."""
        scaled = self.exact_shift + self.scale * colour
        return scaled[::-1] if self.is_reversed else scaled

    def of_colours(
        self, axes: NDArray[np.float64], lengths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return axes of colours [C, C], one a column, of these lengths, among a net's values."""
        factor = np.abs(self.scale)
        scaled = axes * (factor * lengths) if factor.ndim == 0 else factor[:, None] * axes * lengths
        return scaled[::-1] if self.is_reversed else scaled


def _reversed(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers of channels in the other order; one number is of all of them."""
    return numbers[..., ::-1] if numbers.ndim else numbers


class Prepare:
    """A recipe's ``prepare``.

    Args:
        steps: as in the recipe.
        shape: of the net's input, height x width x channels.
        statistics: of the training set; needed by ``subtract``.

    Raises:
        DataError: the net takes no images; a size is changed after the values are;
            or a mean is to be subtracted that is not there.
    """

    def __init__(self, steps: Sequence[RecipeStep], shape: Shape, statistics: Means | None) -> None:
        require_images(shape)
        is_value = [not isinstance(step, Shorter | Resize | Center) for step in steps]
        if is_value != sorted(is_value):
            late = steps[len(steps) - 1 - is_value[::-1].index(False)].name
            raise DataError(
                f"`{late}` stands after a step that changes values in `prepare`: "
                "put what changes sizes before what changes values"
            )
        self.geometry = Geometry(steps, shape.channels)
        self.scaling = Scaling(steps, statistics, shape.channels)

    def __call__(self, pixels: Pixels) -> Values:
        """An image [H, W, 1 or 3] as values [h, w, C], perhaps larger than the net's input.

        Raises:
            DataError: it is smaller than what is cut out of it, or than the mean image.
        """
        return self.scaling(self.geometry(pixels))


def view_of(expects: Expects, shape: Shape, statistics: Means | None = None) -> View:
    """Return the function from an image to what is shown to a net of it.

    If nobody said how images are prepared, one is resized until it covers the input, cut at its
    centre, and scaled to 0..1.

    Args:
        expects: what the net expects of an image.
        shape: of the net's input.
        statistics: of the training set; needed where ``expects.missing`` is not empty.

    Raises:
        DataError: as :class:`Prepare`.
    """
    require_images(shape)
    if expects.prepare is None:
        return _Covering(shape)
    means = statistics if expects.image is None else _Image(expects.image)
    prepare = Prepare(expects.prepare, shape, means)
    return (_TenCrops if expects.views == "tencrop" else _Centre)(prepare, shape)


def for_testing(recipe: Recipe | None, shape: Shape, statistics: Means | None) -> View:
    """Return the view of a recipe: as :func:`view_of`."""
    if recipe is None:
        return view_of(Expects(), shape)
    is_ten = any(isinstance(step, TenCrop) for step in recipe.evaluate)
    expects = Expects(tuple(recipe.prepare), "tencrop" if is_ten else "center")
    return view_of(expects, shape, statistics)


def resolved(expects: Expects, statistics: Means | None) -> Expects:
    """Return what a net expects with numbers in place of what only a training set says.

    ``subtract mean channel`` becomes ``subtract A B C``, in the values that arrive there;
    ``subtract mean image`` keeps its image.
    """
    if statistics is None or not expects.missing or expects.prepare is None:
        return expects
    steps: list[RecipeStep] = []
    image = expects.image
    for step in expects.prepare:
        if isinstance(step, Subtract) and step.over == "channel":
            before = Scaling(steps, None, len(statistics.of(step.what, step.over)))
            mean = before.of_values(statistics.of(step.what, step.over))
            numbers = dict(zip(("first", "second", "third"), map(float, mean), strict=False))
            steps.append(SubtractNumbers(**numbers))
        else:
            if isinstance(step, Subtract):
                # as it travels, so that what a run shows is what an artifact does
                image = statistics.of(step.what, step.over).astype(np.float32).astype(np.float64)
            steps.append(step)
    return replace(expects, prepare=tuple(steps), image=image)


class _Image(Means):
    """The one image that a net subtracts."""

    def __init__(self, image: NDArray[np.float64]) -> None:
        self.image = image

    def of(self, kind: str, over: str) -> NDArray[np.float64]:
        if over != "image":
            raise DataError(f"`subtract {kind} {over}` needs the statistics of the training set")
        return self.image


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
