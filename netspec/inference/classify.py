"""Classify images: prepared as the net expects, its outputs averaged over views, and named."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from netspec.data.dataset import Pixels
from netspec.data.images import in_rgb, read_image
from netspec.data.preprocessing import View, view_of
from netspec.errors import DataError
from netspec.inference.subject import Subject, open_subject, require_a_classifier
from netspec.runtime.causes import require_finite_outputs

if TYPE_CHECKING:
    from netspec.net import Net
    from netspec.runtime.compiled import Compiled

Picture = str | Path | Image.Image | NDArray[np.uint8]
"""The path of a file, an image of Pillow, or its pixels [H, W] or [H, W, 1 or 3], 0..255."""


@dataclass(frozen=True)
class Answer:
    """One class for an image: its number, its name if it has one, and the net's output for it."""

    number: int
    name: str
    score: float

    def __str__(self) -> str:
        return self.name or f"class {self.number}"


@dataclass(frozen=True)
class Classification:
    """The classes that fit an image best, the best first."""

    image: str
    answers: tuple[Answer, ...]

    @property
    def best(self) -> Answer:
        """The class that fits best."""
        return self.answers[0]


def classify(
    model: Compiled | Net | str | Path,
    images: Picture | Sequence[Picture],
    *,
    top: int = 5,
    weights: str | Path | None = None,
) -> list[Classification]:
    """Classify images, prepared as the net expects, as ``netspec run`` does.

    Args:
        model: a net with weights; or, as ``netspec run`` takes it, the path of a spec, a run or an
            artifact, or the name of a bundled spec.
        images: one or several: paths, images of Pillow, or arrays of pixels.
        top: how many classes to name for each image.
        weights: a safetensors file, or the name of weights that come with a bundled spec; for a
            spec only.

    Returns:
        A classification for each image, in their order.

    Raises:
        DataError: something cannot be read, the net is no classifier, or outputs are not finite.
        TypeError: an image is none.
    """
    subject = open_subject(model, weights=weights)
    look = classifier(subject, top=top)
    if isinstance(images, Sequence) and not isinstance(images, str):
        return [look(picture) for picture in images]
    return [look(images)]


def classifier(subject: Subject, *, top: int = 5) -> Callable[[Picture], Classification]:
    """Return the function that classifies an image.

    Raises:
        DataError: the net does not classify images, or what it expects of them is not known.
    """
    model, expects = subject.model, subject.expects
    require_a_classifier(model.net)
    view = view_of(expects, model.net.input_shape)
    is_largest = model.net.answers_by == "most"

    def look(picture: Picture) -> Classification:
        scores = _scores(model, view, picture)
        best = scores.topk(min(top, scores.numel()), largest=is_largest)
        scored = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        answers = tuple(Answer(n, name_of(expects.classes, n), score) for n, score in scored)
        return Classification(name_of_picture(picture), answers)

    return look


def name_of(classes: Sequence[str], number: int) -> str:
    """Return the name of an output: ``output 7`` if others have one; empty if none has."""
    if number < len(classes):
        return classes[number]
    return f"output {number}" if classes else ""


def _scores(model: Compiled, view: View, picture: Picture) -> torch.Tensor:
    """Return the outputs [classes] for an image, averaged over its views, in float64."""
    try:
        values = view(pixels_of(picture))
    except (OverflowError, MemoryError):
        raise DataError(f"cannot resize {name_of_picture(picture)}: too large") from None
    views = torch.from_numpy(values).movedim(-1, -3).to(model.device, model.lowered.dtype)
    with torch.inference_mode():
        outputs = model(views).flatten(1)
    require_finite_outputs(model, views, outputs)
    scores: torch.Tensor = outputs.double().mean(0)
    return scores


def pixels_of(picture: Picture) -> Pixels:
    """Return the pixels [H, W, C] of an image.

    Raises:
        DataError: the file cannot be read.
        TypeError: it is no image.
    """
    if isinstance(picture, str | os.PathLike):
        return np.asarray(read_image(picture, str(picture)))
    if isinstance(picture, Image.Image):
        return np.asarray(in_rgb(picture.copy()))
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
        pixels = picture[..., None] if picture.ndim == 2 else picture
        if pixels.ndim == 3 and pixels.shape[2] in (1, 3) and pixels.size:
            return pixels
    described = (
        f"an array of {picture.dtype} {list(picture.shape)}"
        if isinstance(picture, np.ndarray)
        else type(picture).__name__
    )
    raise TypeError(
        f"an image is a path, an image of Pillow, or an array of uint8 [H, W] or [H, W, 1 or 3], "
        f"and this is {described}"
    )


def name_of_picture(picture: Picture) -> str:
    """Return the path of an image, or what it is."""
    return str(picture) if isinstance(picture, str | os.PathLike) else "the image"
