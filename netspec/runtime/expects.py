"""The preprocessing and class names of a net, as JSON and an image in the files of its weights.

The JSON is one object::

    {"version": 1,
     "prepare": [{"step": "shorter", "size": 256, "filter": "bicubic", "round": "nearest"}, ...],
     "views": "center",
     "classes": ["cat", "dog"],
     "image": null}

``prepare`` is null if the preprocessing is unknown.  ``image`` is the shape [H, W, C] of the image
of means that ``subtract mean image`` subtracts, or null.  The image is stored separately from the
JSON: float32, values 0..255, channels in the order of an image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.members import (
    ANYTHING,
    Kind,
    Malformed,
    many,
    one_of,
    optional,
    record,
    table,
    text,
    whole,
)
from netspec.ir.expects import VIEWS, Expects, step_from_json
from netspec.ir.recipe import RecipeStep
from netspec.ir.shapes import Shape

VERSION = 1
IMAGE = "prepare/image"
"""The name of the mean image among the tensors of a file.  Names of parameters do not contain a
slash, so it cannot be one of them."""

LONGEST_NAME = 1000
MOST_PIXELS = 2**14
"""The largest height, width or number of channels of the mean image."""


def as_json(expects: Expects) -> dict[str, Any]:
    """Return the preprocessing and class names as plain data; :func:`image_of` is the image."""
    described = expects.as_json()
    shape = None if expects.image is None else list(expects.image.shape)
    return {"version": VERSION, **described, "image": shape}


def image_of(expects: Expects) -> Tensor | None:
    """Return the mean image, [H, W, C] in float32; None if there is none."""
    if expects.image is None:
        return None
    return torch.from_numpy(expects.image.astype(np.float32))


def with_image(expects: Expects, image: Tensor | None, name: str) -> Expects:
    """Return ``expects`` with the mean image that was read from a file.

    Args:
        expects: as the JSON describes it, with an image of the right shape and any values.
        image: the image in the file, or None.
        name: of the file, for messages.

    Raises:
        DataError: the image is missing, has another shape or type, or is not finite.
    """
    if expects.image is None:
        return expects
    shape = expects.image.shape
    if image is None or tuple(image.shape) != shape or image.dtype != torch.float32:
        raise DataError(
            f"{name} does not contain the mean image that its net subtracts, {Shape(shape)} in "
            "float32: restore the file from a copy, or save the weights again"
        )
    if not image.isfinite().all():
        raise DataError(
            f"the mean image in {name} is not finite: restore the file from a copy, or save "
            "the weights again"
        )
    return replace(expects, image=image.cpu().numpy().astype(np.float64))


def _step(value: Any, at: str) -> RecipeStep:
    described = table(ANYTHING).take(value, at)
    try:
        return step_from_json(described)
    except ValueError as error:
        raise Malformed(at, f"is not a step of `prepare`: {error}") from None


def _expects(
    version: int,
    prepare: tuple[RecipeStep, ...] | None,
    views: str,
    classes: tuple[str, ...],
    image: tuple[int, ...] | None,
) -> Expects:
    # with_image replaces these zeros by the image; broadcast from one number, they take no memory
    awaited = None if image is None else np.broadcast_to(np.zeros(()), image)
    return Expects(prepare, views, classes, awaited)


EXPECTS: Kind[Expects] = record(
    _expects,
    version=whole(VERSION, VERSION),
    prepare=optional(many(Kind("a step of `prepare`", _step))),
    views=one_of(*VIEWS),
    classes=many(text(LONGEST_NAME)),
    image=optional(many(whole(1, MOST_PIXELS), 3)),
)
"""The JSON of :func:`as_json`."""
