"""``augment``: what is drawn anew each time a training image is used (AlexNet, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.data.images import (
    Values,
    center,
    cut,
    reflected,
    resized_part,
    shorter_size,
    slack,
    with_channels,
)
from netspec.data.preprocessing import WHITE, Prepare, Scaling
from netspec.errors import DataError
from netspec.ir.recipe import Crop, Flip, PrincipalComponents, Recipe, RecipeStep, Rescale, Subtract
from netspec.ir.shapes import Pair, Shape
from netspec.training.statistics import Statistics

Prepared: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]


class Augment:
    """A recipe's ``augment``; the steps are taken, and draw, in its order.

    - ``crop``: each place is as likely as any other, 33 x 33 of them for 224 in 256.  Without it
      the middle is cut out.
    - ``flip``: one image in two is reflected, left to right.
    - ``pca D``: to all pixels of an image, ``P (a * m)`` is added, with the eigenvectors P of the
      colours' covariance in the training set, a drawn from a normal distribution of deviation D,
      and m the eigenvalues, or their square roots.  Eigenvalues are squares, and depend on the
      unit: they are those of colours from 0 for black to 1 for white, a few hundredths.  Of raw
      pixels they would be thousands, and nothing of an image would be left.
    - ``rescale LOW, HIGH``: the shorter side gets a length from LOW to HIGH, both included.  It is
      of the image as it comes, so it is the first step, and the values are scaled behind it.

    Args:
        steps: as in the recipe.
        shape: of the net's input.
        scaling: what ``prepare`` does to the values.
        statistics: of the training set; needed by ``pca``.

    Raises:
        DataError: statistics are missing; ``rescale`` is not the first step, in front of ``crop``.
    """

    def __init__(
        self,
        steps: Sequence[RecipeStep],
        shape: Shape,
        scaling: Scaling,
        statistics: Statistics | None,
    ) -> None:
        self.shape = shape
        self.scaling = scaling
        self.rescale, self.steps = _split(steps)
        self.axes = {
            step: _axes(step, statistics, scaling)
            for step in steps
            if isinstance(step, PrincipalComponents)
        }

    def __call__(self, prepared: Prepared, generator: np.random.Generator) -> Values:
        """An image [H, W, C] of the size of the net's input, in new memory.

        Args:
            prepared: values [h, w, C]; an image as it comes where ``rescale`` is a step.
            generator: of this image and this use of it.

        Raises:
            DataError: the image is smaller than what is cut out of it.
        """
        image: NDArray[Any] = prepared
        if self.rescale is not None:
            image = self._rescaled(image, generator)
        shift = np.zeros(self.shape.channels)
        for step in self.steps:
            match step:
                case Crop(size=size):
                    image = cut(image, *place(image.shape[:2], size, generator), size)
                case Flip():
                    if generator.random() < 0.5:
                        image = reflected(image)
                case PrincipalComponents(deviation=deviation):
                    drawn = generator.normal(0, deviation, self.shape.channels)
                    shift = shift + self.axes[step] @ drawn
        return shifted(center(image, self.shape[:2]), shift)

    def _rescaled(self, pixels: Pixels, generator: np.random.Generator) -> Values:
        """A patch of an image in a random size: as if all of it had been resized."""
        assert self.rescale is not None
        (low, high), size = self.rescale
        length = int(generator.integers(low, high, endpoint=True))
        whole = shorter_size(pixels.shape[:2], length)
        part = resized_part(pixels, whole, *place(whole, size, generator), size)
        return self.scaling(with_channels(part, self.shape.channels))


def place(whole: Sequence[int], size: Pair, generator: np.random.Generator) -> Pair:
    """Where a part of an image begins, down and across; each place is as likely as any other.

    Raises:
        DataError: the image is smaller than the part.
    """
    down, across = slack(whole, size)
    drawn = generator.integers(0, (down, across), endpoint=True)
    return int(drawn[0]), int(drawn[1])


def shifted(image: Values, shift: NDArray[np.float64]) -> Values:
    """An image with one number a channel added, in new memory.

    A channel at a time: NumPy adds rows of values faster than rows of three.
    """
    result = np.empty(image.shape, np.float32)
    for channel, number in enumerate(shift.astype(np.float32)):
        np.add(image[..., channel], number, out=result[..., channel])
    return result


def _split(steps: Sequence[RecipeStep]) -> tuple[tuple[Pair, Pair] | None, list[RecipeStep]]:
    """The lengths and the patch's size of ``rescale | crop``, if steps begin so; the others."""
    match list(steps):
        case [Rescale(low=low, high=high), Crop(size=size), *rest]:
            scaled_patch: tuple[Pair, Pair] | None = ((low, high), size)
        case rest:
            scaled_patch = None
    if any(isinstance(step, Rescale) for step in rest):
        raise DataError(
            "`rescale` is the first step of `augment`, and a `crop` follows it: "
            "write `augment rescale 256, 512 | crop 224`"
        )
    return scaled_patch, rest


def _axes(
    step: PrincipalComponents, statistics: Statistics | None, scaling: Scaling
) -> NDArray[np.float64]:
    """The principal axes [C, C], one a column, as long as a draw of 1 shifts the colours."""
    if statistics is None:
        raise DataError("`pca` needs the statistics of the training set")
    lengths = (
        statistics.eigenvalues / WHITE if step.of == "eigenvalue" else statistics.eigenvalues**0.5
    )
    return scaling.of_colours(statistics.eigenvectors, lengths)


def for_training(
    recipe: Recipe, shape: Shape, statistics: Statistics | None
) -> tuple[Callable[[Pixels], Prepared], Augment]:
    """What a training image goes through each time: ``augment(prepare(pixels), generator)``.

    Where ``augment`` rescales, the image goes into it as it comes: the steps of ``prepare`` that
    change sizes are then for testing, and for the statistics.

    Raises:
        DataError: as :class:`Prepare` and :class:`Augment`; an image of means is to be subtracted
            from images that are rescaled.
    """
    prepare = Prepare(recipe.prepare, shape, statistics)
    augment = Augment(recipe.augment, shape, prepare.scaling, statistics)
    if augment.rescale is None:
        return prepare, augment
    if any(isinstance(step, Subtract) and step.over == "image" for step in recipe.prepare):
        raise DataError(
            "`rescale` gives images many sizes, and an image of means has one: "
            "write `subtract mean channel` in `prepare`"
        )
    return as_it_comes, augment


def as_it_comes(pixels: Pixels) -> Pixels:
    """The image itself."""
    return pixels
