"""Classify images: prepared as the net expects, its outputs averaged over views, and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from netspec.data.dataset import Pixels
from netspec.data.images import pixels_in, read_image
from netspec.data.preprocessing import View, view_of
from netspec.errors import DataError
from netspec.inference.source import expects_of
from netspec.inference.subject import Subject, open_subject, require_a_classifier
from netspec.ir.arguments import whole
from netspec.language.definitions import Setting
from netspec.printing import Printed
from netspec.runtime.causes import require_finite_outputs

if TYPE_CHECKING:
    from netspec.net import Net
    from netspec.runtime.compiled import Compiled

Picture = str | Path | Image.Image | NDArray[np.uint8] | torch.Tensor
"""The path of a file, an image of Pillow, an array of pixels [H, W] or [H, W, 1 or 3], or a tensor
of them [H, W] or [1 or 3, H, W], as torchvision reads images; pixels are uint8, 0..255."""


@dataclass(frozen=True)
class Answer:
    """One class for an image.

    Attributes:
        number: Number of the class, from 0.
        name: Name of the class; empty if it does not have one.
        score: Output of the net for the class, averaged over the views of the image.
    """

    number: int
    name: str
    score: float

    def __str__(self) -> str:
        return self.name or f"class {self.number}"


@dataclass(frozen=True, repr=False)
class Classification(Printed):
    """The classes that fit an image best, the best first.

    Attributes:
        image: Path of the image, or ``the image``.
        answers: Classes with their scores.
        is_probability: True if scores are probabilities, which a final softmax gives.
    """

    image: str
    answers: tuple[Answer, ...]
    is_probability: bool = False

    @property
    def best(self) -> Answer:
        """The class that fits best."""
        return self.answers[0]


class Failure(NamedTuple):
    """An image that cannot be classified: its number among all images, its path, and the reason."""

    number: int
    image: str
    error: str


class Classifications(Printed, list[Classification]):
    """A classification for each image, in their order.

    Attributes:
        subject: The net, what it expects of images, and where that comes from.
        failures: Images that were skipped.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject = subject
        self.failures: list[Failure] = []

    @property
    def entries(self) -> list[Classification | Failure]:
        """Results of all images in their order, those that were skipped included."""
        entries: list[Classification | Failure] = [*self]
        for failure in self.failures:
            entries.insert(failure.number, failure)
        return entries


def classify(
    model: Compiled | Net | str | Path,
    images: Picture | Iterable[Picture],
    *,
    top: int = 5,
    weights: str | Path | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    expect: str | None = None,
    settings: Mapping[str, Setting] | None = None,
    skip: bool = False,
) -> Classifications:
    """Classify images, prepared as the net expects, as ``netspec run`` does.

    Args:
        model: a compiled net, a net, the path of a spec, a run or an artifact, or the name of a
            bundled spec.
        images: one image or several: paths, images of Pillow, arrays or tensors of pixels.
        top: the number of classes to name for each image.
        weights: a file of weights, or the name of weights that come with a bundled spec; for a
            spec or a net.
        prepare: steps that prepare an image, in place of those that the net says:
            ``"shorter 256 | center 224 | range low=0, high=1"``.
        classes: names of the classes, in place of those that the net says: a list of names that
            comes with netspec, a text file with one name per line, or the names.
        expect: the root digest of an artifact.
        settings: values of the parameters of a spec.
        skip: skip an image that cannot be classified, in place of raising DataError; ``failures``
            of the result lists it.

    Returns:
        A list with a classification for each image; ``print`` shows it as the command does.

    Raises:
        TypeError, ValueError: an argument has another type or value; an image is not one.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, the net is not a classifier, or outputs are not finite.
    """
    top = whole("top", top, 1, MOST_ANSWERS)
    subject = open_subject(
        model,
        weights=weights,
        settings=settings,
        expect=expect,
        expects=expects_of(prepare, classes),
    )
    look = classifier(subject, top=top)
    results = Classifications(subject)
    for number, picture in enumerate(pictures_in(images)):
        try:
            results.append(look(picture))
        except DataError as error:
            if not skip:
                raise
            results.failures.append(Failure(number, name_of_picture(picture), str(error)))
    return results


MOST_ANSWERS = 10**9


def pictures_in(images: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """Return images as several, where one is given.

    Raises:
        TypeError: they are neither an image nor several.
    """
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, np.ndarray | torch.Tensor):
        return images if images.ndim == 4 else [images]
    if isinstance(images, bytes | bytearray | Mapping) or not isinstance(images, Iterable):
        raise TypeError(f"{A_PICTURE}, or several of them, not {described(images)}")
    return images


def classifier(subject: Subject, *, top: int = 5) -> Callable[[Picture], Classification]:
    """Return the function that classifies an image.

    Raises:
        DataError: the net does not classify images, or what it expects of them is not known.
    """
    model, expects = subject.model, subject.expects
    net = model.net
    require_a_classifier(net)
    view = view_of(expects, net.input_shape)
    is_largest = net.answers_by == "most"
    is_probability = net.graph.stage(net.graph.outputs[0]).op.name == "softmax"

    def look(picture: Picture) -> Classification:
        scores = _scores(model, view, picture)
        best = scores.topk(min(top, scores.numel()), largest=is_largest)
        scored = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        answers = tuple(Answer(n, name_of(expects.classes, n), score) for n, score in scored)
        return Classification(name_of_picture(picture), answers, is_probability)

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


A_PICTURE = (
    "an image must be a path, an image of Pillow, an array of uint8 [H, W] or [H, W, 1 or 3], or a "
    "tensor of uint8 [H, W] or [1 or 3, H, W]"
)


def pixels_of(picture: Picture) -> Pixels:
    """Return the pixels [H, W, C] of an image.

    Raises:
        DataError: the file cannot be read.
        TypeError: it is not an image, or has values other than uint8.
        ValueError: an array or a tensor has another shape.
    """
    if isinstance(picture, str | Path):
        return np.asarray(read_image(picture, str(picture)))
    if isinstance(picture, Image.Image):
        return np.asarray(pixels_in(picture))
    pixels = picture
    if isinstance(picture, torch.Tensor) and picture.dtype == torch.uint8:
        pixels = picture.detach().cpu().numpy()
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise TypeError(f"{A_PICTURE}, not {described(picture)}")
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size:
        raise ValueError(f"{A_PICTURE}, not {described(picture)}")
    return pixels


def described(value: object) -> str:
    """Return what a value is, for a message: its type, and its shape if it has one."""
    if isinstance(value, np.ndarray | torch.Tensor):
        noun = "a tensor" if isinstance(value, torch.Tensor) else "an array"
        return f"{noun} of {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return "None" if value is None else f"an object of type {type(value).__name__}"


def name_of_picture(picture: Picture) -> str:
    """Return the path of an image, or ``the image``."""
    return str(picture) if isinstance(picture, str | Path) else "the image"
