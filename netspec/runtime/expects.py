"""What a net expects, as JSON and an image, in the files that its weights travel in.

The JSON is one object::

    {"version": 1,
     "prepare": [{"step": "shorter", "size": 256, "filter": "bicubic", "round": "nearest"}, ...],
     "views": "center",
     "classes": ["cat", "dog"],
     "image": null}

``prepare`` is null if nobody said how images are prepared.  ``image`` is the shape [H, W, C] of an
image of means, which ``subtract mean image`` subtracts, where there is one: float32, of values
0..255 in the order of an image's channels.  It is stored beside the JSON.
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
"""The name of the image of means among tensors; no parameter has a slash in its name."""

LONGEST_NAME = 1000
MOST_PIXELS = 2**14
"""A side of the image of means."""


def as_json(expects: Expects) -> dict[str, Any]:
    """Return what a net expects as plain data; the image is :func:`image_of`."""
    described = expects.as_json()
    shape = None if expects.image is None else list(expects.image.shape)
    return {"version": VERSION, **described, "image": shape}


def image_of(expects: Expects) -> Tensor | None:
    """Return the image of means [H, W, C], float32; None without one."""
    if expects.image is None:
        return None
    return torch.from_numpy(expects.image.astype(np.float32))


def with_image(expects: Expects, image: Tensor | None, name: str) -> Expects:
    """Return what a net expects with its image, which is from a file of this name.

    Raises:
        DataError: it is missing, has another shape or type, or is not finite.
    """
    if expects.image is None:
        return expects
    shape = expects.image.shape
    if image is None or tuple(image.shape) != shape or image.dtype != torch.float32:
        raise DataError(f"{name} has no image of means of {Shape(shape)} in float32, and needs it")
    if not image.isfinite().all():
        raise DataError(f"the image of means in {name} is not finite")
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
    # with_image puts the image in the place of zeros, which take no memory
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
