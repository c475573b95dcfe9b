"""Preprocessing (``prepare``): from an image to the input of a net, in training and in use.

The steps ``shorter``, ``resize`` and ``center`` come first and change the size, on 8-bit pixels.
All other steps change values; together they are ``scale * pixels + shift``.  Without ``range`` or
``divide`` the values are 0..255, as in the AlexNet paper (section 2).
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
from netspec.errors import DataError, require_type
from netspec.ir.arguments import place
from netspec.ir.expects import Expects, misplaced
from netspec.ir.recipe import (
    Divide,
    Invert,
    Numbers,
    Order,
    Range,
    Recipe,
    RecipeStep,
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
        """Return the values that ``subtract KIND OVER`` subtracts."""


class View(Protocol):
    """Function from an image [H, W, 1 or 3] to one or more inputs of the net: [views, H, W, C]."""

    count: int
    """Number of views: 1 or 10."""

    def __call__(self, pixels: Pixels) -> Values: ...


class Scaling:
    """The steps that change values: ``scale * pixels + shift``, then RGB to BGR if asked for.

    Args:
        steps: steps of ``prepare``; those that change sizes are ignored.
        statistics: the means to subtract; None if no step needs them.
        channels: number of channels of the image, 1 or 3.

    Attributes:
        scale: one factor, or one per channel [C].
        shift: one number, one per channel [C], or one per value [H, W, C].
        exact_shift: the shift in float64.
        is_reversed: True if the order of the channels is reversed at the end.

    Raises:
        DataError: if the statistics do not have a mean to subtract, or if a step has another number
            of channels than the image.
    """

    def __init__(
        self, steps: Sequence[RecipeStep], statistics: Means | None, channels: int = 3
    ) -> None:
        scale: NDArray[np.float64] = np.ones(())
        shift: NDArray[np.float64] = np.zeros(())
        self.is_reversed = False
        for step in steps:
            match step:
                case Range(low=low, high=high):
                    factor = (high - low) / WHITE
                    scale, shift = scale * factor, shift * factor + low
                case Invert():
                    # exchange the values of black and white: x -> black + white - x, where black
                    # is `shift` and white is `shift + 255 scale`
                    scale, shift = -scale, shift + WHITE * scale
                case Order(channels=order):
                    if channels == 1 and order == "bgr":
                        raise DataError(
                            "`order bgr` needs images of three channels, but the net's input has "
                            "one: remove it from `prepare`"
                        )
                    if (order == "bgr") != self.is_reversed:
                        self.is_reversed = not self.is_reversed
                        scale, shift = _reversed(scale), _reversed(shift)
                case Subtract(what=what, over=over):
                    if statistics is None:
                        raise DataError(
                            f"`subtract {what} {over}` needs the statistics of the training set"
                        )
                    # the mean of the values so far is scale * mean + shift: subtracting it cancels
                    # the shift so far
                    mean = statistics.of(what, over)
                    shift = -scale * (_reversed(mean) if self.is_reversed else mean)
                case SubtractNumbers():
                    shift = shift - self._of_channels(step, channels)
                case Divide():
                    divisor = self._of_channels(step, channels)
                    scale, shift = scale / divisor, shift / divisor
        if self.is_reversed:  # `__call__` applies them before it reverses the channels
            scale, shift = _reversed(scale), _reversed(shift)
        self.scale, self.exact_shift = scale, shift
        self.shift: Values = shift.astype(np.float32)

    @staticmethod
    def _of_channels(step: Numbers, channels: int) -> NDArray[np.float64]:
        numbers = step.numbers
        if len(numbers) not in (1, channels):
            raise DataError(
                f"`{step.name}` has {len(numbers)} numbers, but images have {channels} "
                f"{plural('channel', channels)}: give one number, or one per channel"
            )
        return np.array(numbers[0] if len(numbers) == 1 else numbers)

    def __call__(self, pixels: Pixels) -> Values:
        """Return the values of an image [H, W, C], in new memory."""
        values: Values = pixels.astype(np.float32)
        if (self.scale != 1).any():
            values *= self.scale.astype(np.float32)
        if self.shift.ndim == 3 and self.shift.shape != pixels.shape:
            raise DataError(
                f"the image is {Shape(pixels.shape)}, but the mean image is "
                f"{Shape(self.shift.shape)}: bring all images to one size, with `resize`, or with "
                "`shorter` and `center`; or write `subtract mean channel`"
            )
        if self.shift.ndim == 1:  # whole rows: NumPy is slow if the innermost axis has 3 values
            rows = values.reshape(len(values), -1)
            rows += np.tile(self.shift, pixels.shape[1])
        elif self.shift.any():
            values += self.shift
        return np.ascontiguousarray(values[..., ::-1]) if self.is_reversed else values

    def of_values(self, colour: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a colour [C] of 0..255 in the values of the net's input."""
        scaled = self.exact_shift + self.scale * colour
        return scaled[::-1] if self.is_reversed else scaled

    def of_colours(
        self, axes: NDArray[np.float64], lengths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return axes of colours, scaled to the values of the net's input.

        Args:
            axes: axes of colours of 0..255, [C, C], one per column.
            lengths: their lengths, [C].
        """
        factor = np.abs(self.scale)
        scaled = axes * (factor * lengths) if factor.ndim == 0 else factor[:, None] * axes * lengths
        return scaled[::-1] if self.is_reversed else scaled


def _reversed(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers [..., C] with the channels reversed; a single number applies to all."""
    return numbers[..., ::-1] if numbers.ndim else numbers


class Prepare:
    """The ``prepare`` steps of a recipe.

    Args:
        steps: steps of the recipe.
        shape: shape of the net's input, height x width x channels.
        statistics: statistics of the training set; ``subtract mean`` and ``median`` require them.

    Raises:
        DataError: if the net's input is not an image, if a step is misplaced, or as
            :class:`Scaling`.
    """

    def __init__(self, steps: Sequence[RecipeStep], shape: Shape, statistics: Means | None) -> None:
        require_images(shape)
        if mistake := misplaced(steps):  # specs are checked before; files can hold any steps
            raise DataError(f"{mistake.message}: {mistake.help}")
        self.geometry = Geometry(steps, shape.channels)
        self.scaling = Scaling(steps, statistics, shape.channels)

    def __call__(self, pixels: Pixels) -> Values:
        """Return the values [h, w, C] of an image [H, W, 1 or 3].

        They may be larger than the net's input; crops are cut out later.

        Raises:
            DataError: if the image is smaller than the part to cut out of it, or its size differs
                from that of the mean image.
        """
        return self.scaling(self.geometry(pixels))


def view_of(expects: Expects, shape: Shape, statistics: Means | None = None) -> View:
    """Return the function from an image to the inputs of a net.

    If ``expects`` has no preprocessing, an image is resized to cover the input, its centre is cut
    out, and its values are scaled to 0..1.

    Args:
        expects: the preprocessing and the views that the net expects.
        shape: shape of the net's input, height x width x channels.
        statistics: statistics of the training set; required if ``expects.missing`` is not empty.

    Raises:
        DataError: as :class:`Prepare`.
    """
    require_images(shape)
    if expects.prepare is None:
        return _Covering(shape)
    means = statistics if expects.image is None else MeanImage(expects.image)
    prepare = Prepare(expects.prepare, shape, means)
    return (_TenCrops if expects.views == "tencrop" else _Centre)(prepare, shape)


def for_testing(recipe: Recipe | None, shape: Shape, statistics: Means | None) -> View:
    """Return the function from an image to the inputs of a net; as :func:`view_of`."""
    if recipe is None:
        return view_of(Expects(), shape)
    is_ten = any(isinstance(step, TenCrop) for step in recipe.evaluate)
    expects = Expects(tuple(recipe.prepare), "tencrop" if is_ten else "center")
    return view_of(expects, shape, statistics)


def resolved(expects: Expects, statistics: Means | None) -> Expects:
    """Return ``expects`` with the statistics of the training set filled in.

    ``subtract mean channel`` becomes ``subtract A B C``, in the units of the values at that step.
    ``subtract mean image`` stays, and ``image`` is set to the mean image.
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
                # rounded to float32 as in files, so that a run and its artifact give equal results
                image = statistics.of(step.what, step.over).astype(np.float32).astype(np.float64)
            steps.append(step)
    return replace(expects, prepare=tuple(steps), image=image)


class MeanImage(Means):
    """The mean image that a net subtracts, when there are no other statistics."""

    def __init__(self, image: NDArray[np.float64]) -> None:
        self.image = image

    def of(self, kind: str, over: str) -> NDArray[np.float64]:
        if over != "image":
            raise DataError(f"`subtract {kind} {over}` needs the statistics of the training set")
        return self.image


def load_image(path: str | Path, shape: Shape) -> Tensor:
    """Return an image from a file, resized to cover the input, with its centre cut out.

    It is rotated as its EXIF data says, grey for a net of one channel, and on white where it is
    transparent.

    Args:
        path: an image file in one of the formats :data:`netspec.data.images.FORMATS`.
        shape: shape of the net's input, height x width x channels.

    Returns:
        A tensor [1, C, H, W], float32, from 0 (black) to 1 (white).

    Raises:
        TypeError: an argument has another type.
        DataError: if the file is not an image, or the net's input is not an image.
    """
    import torch

    path = place("path", path, "the path of an image")
    require_type("shape", shape, Shape, "the shape of an input, such as net.input_shape")
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
