"""``augment``: random changes, drawn for each use of a training image (AlexNet, section 4.1)."""

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
    """The ``augment`` steps of a recipe.  They run, and draw random numbers, in their order.

    - ``crop``: cut out a part at a random place; all places are equally likely (33 x 33 places for
      224 in 256).  Without ``crop`` the centre is cut out.
    - ``flip``: reflect the image, left to right, with probability 1/2.
    - ``pca D``: add ``P (a * m)`` to all pixels of the image.  P holds the eigenvectors of the
      colours' covariance in the training set, a is drawn from a normal distribution with standard
      deviation D, and m holds the eigenvalues, or their square roots.  Eigenvalues depend on the
      square of the unit.  They are computed for colours from 0 (black) to 1 (white), where they
      are a few hundredths; for pixels of 0..255 they would be thousands and hide the image.
    - ``rescale LOW, HIGH``: resize the image so that its shorter side has a random length from LOW
      to HIGH, both included.  It needs the original pixels, so it must be the first step; the
      values are scaled after it.

    Args:
        steps: steps of the recipe.
        shape: shape of the net's input, height x width x channels.
        scaling: the steps of ``prepare`` that change values.
        statistics: statistics of the training set; ``pca`` requires them.

    Raises:
        DataError: if statistics are missing, or ``rescale`` is not the first step, directly
            before ``crop``.
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
        """Return an augmented image [H, W, C] with the size of the net's input, in new memory.

        Args:
            prepared: prepared values [h, w, C]; the original pixels if ``rescale`` is a step.
            generator: source of random numbers for this use of this image.

        Raises:
            DataError: if the image is smaller than the crop.
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
        """Return a random crop of the image at a random size.

        Only the crop is computed; it equals the crop of the whole resized image.
        """
        assert self.rescale is not None
        (low, high), size = self.rescale
        length = int(generator.integers(low, high, endpoint=True))
        whole = shorter_size(pixels.shape[:2], length)
        part = resized_part(pixels, whole, *place(whole, size, generator), size)
        return self.scaling(with_channels(part, self.shape.channels))


def place(whole: Sequence[int], size: Pair, generator: np.random.Generator) -> Pair:
    """Return a random top and left of a part of an image; all places are equally likely.

    Raises:
        DataError: if the image is smaller than the part.
    """
    down, across = slack(whole, size)
    drawn = generator.integers(0, (down, across), endpoint=True)
    return int(drawn[0]), int(drawn[1])


def shifted(image: Values, shift: NDArray[np.float64]) -> Values:
    """Return an image [H, W, C] plus one number per channel [C], in new memory."""
    result = np.empty(image.shape, np.float32)
    # per channel: NumPy is slow when the innermost axis has only three values
    for channel, number in enumerate(shift.astype(np.float32)):
        np.add(image[..., channel], number, out=result[..., channel])
    return result


def _split(steps: Sequence[RecipeStep]) -> tuple[tuple[Pair, Pair] | None, list[RecipeStep]]:
    """Return the lengths and the crop size of a leading ``rescale | crop``, and the other steps."""
    match list(steps):
        case [Rescale(low=low, high=high), Crop(size=size), *rest]:
            scaled_patch: tuple[Pair, Pair] | None = ((low, high), size)
        case rest:
            scaled_patch = None
    if any(isinstance(step, Rescale) for step in rest):
        raise DataError(
            "`rescale` must be the first step of `augment`, with `crop` directly after it: "
            "write `augment rescale 256, 512 | crop 224`"
        )
    return scaled_patch, rest


def _axes(
    step: PrincipalComponents, statistics: Statistics | None, scaling: Scaling
) -> NDArray[np.float64]:
    """Return the principal axes [C, C], one per column, scaled to the shift for a draw of 1."""
    if statistics is None:
        raise DataError("`pca` needs the statistics of the training set")
    lengths = (
        statistics.eigenvalues / WHITE if step.of == "eigenvalue" else statistics.eigenvalues**0.5
    )
    return scaling.of_colours(statistics.eigenvectors, lengths)


def for_training(
    recipe: Recipe, shape: Shape, statistics: Statistics | None
) -> tuple[Callable[[Pixels], Prepared], Augment]:
    """Return ``prepare`` and ``augment``; an example is ``augment(prepare(pixels), generator)``.

    If ``augment`` has ``rescale``, it gets the original pixels.  The steps of ``prepare`` that
    change sizes then apply only to testing and to the statistics.

    Raises:
        DataError: as :class:`Prepare` and :class:`Augment`; or if ``rescale`` is combined with
            ``subtract mean image``.
    """
    prepare = Prepare(recipe.prepare, shape, statistics)
    augment = Augment(recipe.augment, shape, prepare.scaling, statistics)
    if augment.rescale is None:
        return prepare, augment
    if any(isinstance(step, Subtract) and step.over == "image" for step in recipe.prepare):
        raise DataError(
            "`rescale` gives images different sizes, but a mean image has one fixed size: "
            "write `subtract mean channel` in `prepare`"
        )
    return as_it_comes, augment


def as_it_comes(pixels: Pixels) -> Pixels:
    """Return the image itself."""
    return pixels
