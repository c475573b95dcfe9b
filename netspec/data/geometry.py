"""The steps of ``prepare`` that change the size of an image, on 8-bit pixels."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.data.dataset import Pixels
from netspec.data.images import center, resized, shorter, with_channels
from netspec.errors import DataError
from netspec.ir.recipe import Center, RecipeStep, Resize, Shorter
from netspec.ir.shapes import Shape


class Geometry:
    """Apply the steps that change the size, then convert to the number of channels of the net.

    Args:
        steps: steps of ``prepare``; those that change values are ignored.
        channels: number of channels of the net's input, 1 or 3.
    """

    def __init__(self, steps: Sequence[RecipeStep], channels: int) -> None:
        self.steps = [step for step in steps if isinstance(step, Shorter | Resize | Center)]
        self.channels = channels

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return an image [H, W, 1 or 3] with the new size and channels [h, w, C].

        Raises:
            DataError: if the image is smaller than the part to cut out.
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
        """Return a text for digests; equal texts mean equal results."""
        steps = [_text(step) for step in self.steps]
        return " | ".join([*steps, f"bicubic, {self.channels} channels"])


def _text(step: Shorter | Resize | Center) -> str:
    """Return the text of a step for digests.

    Attributes with default values are omitted, so that digests do not change when a new attribute
    is added to the language.
    """
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
            f"the net's input is {shape}, which is not an image of 1 or 3 channels: "
            "call the model itself for other inputs"
        )
