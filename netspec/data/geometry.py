"""The steps of ``prepare`` that change an image's size, on pixels of 8 bits."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.data.dataset import Pixels
from netspec.data.images import center, resized, shorter, with_channels
from netspec.errors import DataError
from netspec.ir.recipe import Center, RecipeStep, Resize, Shorter
from netspec.ir.shapes import Shape


class Geometry:
    """The steps that change an image's size, then its channels as the net has them."""

    def __init__(self, steps: Sequence[RecipeStep], channels: int) -> None:
        self.steps = [step for step in steps if isinstance(step, Shorter | Resize | Center)]
        self.channels = channels

    def __call__(self, pixels: Pixels) -> Pixels:
        """An image [H, W, 1 or 3] in the size and with the channels of the recipe.

        Raises:
            DataError: the image is smaller than what is to be cut out of it.
        """
        for step in self.steps:
            match step:
                case Shorter(size=length, filter=filter, round=round):
                    pixels = shorter(pixels, length, filter=filter, round=round)
                case Resize(size=(height, width), filter=filter):
                    pixels = resized(pixels, height, width, filter=filter)
                case Center(size=size, round=round):
                    pixels = center(pixels, size, round=round)
        return with_channels(pixels, self.channels)

    def __str__(self) -> str:
        """For digests: images come out the same if this is the same."""
        steps = [_text(step) for step in self.steps]
        return " | ".join([*steps, f"bicubic, {self.channels} channels"])


def _text(step: Shorter | Resize | Center) -> str:
    """Return a step for digests: its size, and what differs from what was there at first."""
    others = [
        str(getattr(step, attribute.name))
        for attribute in step.attributes()
        if not attribute.is_required and getattr(step, attribute.name) != attribute.default
    ]
    return " ".join([step.name, str(step.size), *others])


def require_images(shape: Shape) -> None:
    """Raise DataError unless the input of a net can be an image."""
    if not shape.is_map or shape.channels not in (1, 3):
        raise DataError(
            f"the net's input is {shape}, and an image has 1 or 3 channels: "
            "use the Python API for other inputs"
        )
