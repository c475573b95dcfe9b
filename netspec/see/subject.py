"""The net that a picture is of: a run, an artifact, a spec with weights, or a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.errors import ArgumentError, DataError, LabelError, require_type
from netspec.files.finite import first_not_finite
from netspec.inference.classify import name_of
from netspec.inference.source import expects_of
from netspec.inference.subject import Subject, open_subject, require_a_classifier
from netspec.ir.arguments import wholes
from netspec.ir.guess import did_you_mean
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape
from netspec.language.definitions import Setting
from netspec.see.figures import short
from netspec.see.images import Preparation

if TYPE_CHECKING:
    from netspec.inference.subject import Given
    from netspec.net import Net
    from netspec.runtime.reference import Model


@dataclass(frozen=True)
class Seen:
    """A net of which pictures are made.

    Attributes:
        subject: the compiled net, what it expects of images, and where that comes from.
        model: the net in plain PyTorch, in evaluation mode, on the CPU: it has a module for each
            row, branch and stage, which is called (``ROW[.bN][.opN]``), so hooks run.  Its
            parameters do not require gradients.
    """

    subject: Subject
    model: Model

    @property
    def net(self) -> Net:
        """The checked net."""
        return self.subject.model.net

    @property
    def called(self) -> str:
        """The net and its weights, for a caption: a net without trained weights says so."""
        if not self.subject.model.is_trained:
            return f"{self.net.name} with random weights, not trained"
        _, _, origin = self.subject.origin.partition("the ")
        kind, _, path = origin.partition(" ")
        is_known = kind in ("run", "weights", "artifact")
        return f"{self.net.name}, {kind} {short(path)}" if is_known else self.net.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty if they are not known."""
        return self.subject.expects.classes

    @property
    def dtype(self) -> torch.dtype:
        """The type of parameters and images."""
        return self.subject.model.lowered.dtype

    @property
    def image_shape(self) -> Shape:
        """Size of the image that the net takes, (height, width, channels).

        Raises:
            DataError: the net has several inputs.
        """
        inputs = self.net.graph.inputs
        if len(inputs) != 1:
            raise DataError(
                f"{self.net.name} has the inputs {', '.join(inputs)}: images can be shown to a net "
                "with one input only; call the model in Python"
            )
        return self.net.input_shape

    @cached_property
    def preparation(self) -> Preparation:
        """From an image to the input of the net.

        Raises:
            DataError: the input of the net is not one image.
        """
        return Preparation(self.subject.expects, self.image_shape)

    @property
    def is_probability(self) -> bool:
        """True if the outputs are probabilities, which a final softmax gives."""
        return self.net.graph.stage(self.net.graph.outputs[0]).op.name == "softmax"

    def stage_of(self, label: str) -> str:
        """Return the name of the stage that a row or stage ends in.

        Raises:
            TypeError: it is not a string.
            DataError: the net does not have it.
        """
        require_type("row", label, str, "the name of a row or stage")
        try:
            return self.net.graph.find(label)
        except LabelError:
            pass
        try:
            self.net[label]  # whose error has a suggestion and the rows
        except LabelError as error:
            raise DataError(str(error)) from None
        raise DataError(f"row {label} of {self.net.name} does not compute anything")

    def shape_of(self, label: str) -> Shape:
        """Return the size of the activations of a row or stage, (height, width, channels) or (n,).

        Raises:
            DataError: the net does not have it.
        """
        return self.net.graph.stage(self.stage_of(label)).known_shape

    def require_maps(self, label: str) -> Shape:
        """Return the size of the maps of a row.

        Raises:
            DataError: the net does not have the row, or its activations are a vector.
        """
        shape = self.shape_of(label)
        if not shape.is_map:
            rows = [row.label for row in self.net.rows if self.shape_of(row.label).is_map]
            raise DataError(
                f"row {label} of {self.net.name} does not have maps: its activations are a vector "
                f"of {shape.channels:,}; rows with maps: {', '.join(rows)}"
            )
        return shape

    def require_map(self, label: str, number: int) -> int:
        """Return the number of a map (or unit) of a row, from 0.

        Raises:
            DataError: the row does not exist or has fewer maps.
        """
        count = self.shape_of(label).channels
        if not 0 <= number < count:
            raise DataError(
                f"row {label} of {self.net.name} does not have a map {number:,}: "
                f"its maps are 0 to {count - 1:,}"
            )
        return number

    @property
    def filter_rows(self) -> list[str]:
        """The rows with a convolution and with maps, those of auxiliary heads excluded."""
        graph = self.net.graph
        return [
            row.label
            for row in graph.rows.values()
            if not row.head
            and not row.is_inner
            and graph.stage(row.output).known_shape.is_map
            and any(isinstance(graph.stage(name).op, Conv) for name in row.stages)
        ]

    @property
    def wide_rows(self) -> list[str]:
        """Those of :attr:`filter_rows` whose maps are larger than 1x1."""
        return [row for row in self.filter_rows if tuple(self.shape_of(row)[:2]) != (1, 1)]

    @property
    def last_row(self) -> str:
        """The last of :attr:`wide_rows`.

        Raises:
            DataError: there are none.
        """
        if not self.wide_rows:
            raise DataError(f"{self.net.name} does not have a row of maps: name a row with --row")
        return self.wide_rows[-1]

    def batch(self, pixels: Sequence[Pixels]) -> torch.Tensor:
        """Return the input of the net [N, C, H, W] for images [H, W, C] of its size."""
        return self.preparation.batch(pixels, self.dtype)

    def features(self, label: str, images: torch.Tensor) -> torch.Tensor:
        """Return the activations of a row: [N, C, H, W] or [N, C], for images [N, C, H, W]."""
        self.stage_of(label)
        with torch.inference_mode():
            activations: torch.Tensor = self.model.features(label)(images)
        return activations

    def outputs(self, images: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the net [N, classes] for images [N, C, H, W]."""
        with torch.inference_mode():
            outputs: torch.Tensor = self.model(images)
        return outputs.flatten(1)


def open_seen(
    subject: Given,
    *,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Seen:
    """Return a net for pictures, with the arguments of :func:`netspec.classify`.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read; or weights are NaN or infinite, and the message names
            the first.
    """
    opened = open_subject(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        expects=expects_of(prepare, classes),
    )
    compiled = opened.model
    if problem := first_not_finite(compiled.state_dict()):
        raise DataError(f"the weights of {compiled.net.name} are not finite: {problem}")
    # A run can be on a GPU: pictures are small work, and on a CPU they are the same everywhere.
    model = compiled.as_reference().to("cpu").requires_grad_(False)
    model.eval()
    return Seen(opened, model)


def chosen_maps(seen: Seen, label: str, maps: Sequence[int] | None) -> NDArray[np.int64]:
    """Return the numbers of the chosen maps (or units) of a row; of all if ``maps`` is None.

    Raises:
        ValueError: none are chosen.
        DataError: the row does not exist or has fewer maps.
    """
    if maps is None:
        return np.arange(seen.shape_of(label).channels)
    numbers = wholes("maps", maps, 0, 2**31)
    if not numbers:
        raise ArgumentError("maps must be one number or several, not an empty sequence")
    return np.array([seen.require_map(label, number) for number in numbers])


@dataclass(frozen=True)
class RightClass:
    """The right class of an image.

    Attributes:
        number: number of the class, from 0.
        name: its name.
        origin: ``given``, ``folder``, or ``most probable`` if nothing says it.
    """

    number: int
    name: str
    origin: str

    def __str__(self) -> str:
        if self.origin == "most probable":
            return f"{self.name}, the most probable class, because the right one is not known"
        return f"{self.name}, the right class" + (
            " by its folder" if self.origin == "folder" else ""
        )


def require_classes(seen: Seen) -> None:
    """Raise DataError unless the net takes one image and returns one number per class."""
    require_a_classifier(seen.net)


def known_class(seen: Seen, image: str, label: str | int | None = None) -> RightClass | None:
    """Return the right class of an image: the label, else the folder's; None if it is not known.

    Args:
        seen: the net.
        image: path of the image.
        label: name or number of a class.

    Raises:
        DataError: the net does not have such a class.
    """
    names = seen.classes
    if label is not None:
        number = _number_of(seen, label)
        return RightClass(number, class_name(names, number), "given")
    folder = Path(image).parent.name
    if folder and folder in names:
        return RightClass(names.index(folder), folder, "folder")
    return None


def right_class(
    seen: Seen, image: str, label: str | int | None, outputs: torch.Tensor
) -> RightClass:
    """Return the right class of an image, or the most probable one of its outputs [classes]."""
    known = known_class(seen, image, label)
    if known is not None:
        return known
    number = int(outputs.argmin() if seen.net.answers_by == "least" else outputs.argmax())
    return RightClass(number, class_name(seen.classes, number), "most probable")


def class_name(names: Sequence[str], number: int) -> str:
    """Return the name of a class: ``class 7`` if it does not have one."""
    return name_of(names, number) or f"class {number}"


def _number_of(seen: Seen, label: str | int) -> int:
    net, names = seen.net, seen.classes
    if isinstance(label, str) and label in names:
        return names.index(label)
    count = net.graph.stage(net.graph.outputs[0]).known_shape.channels
    text = str(label)
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < count:
        return int(text)
    guess = did_you_mean(text, names)
    advice = f"; {guess}" if guess else f": give a name, or a number from 0 to {count - 1:,}"
    raise DataError(f"{net.name} does not have a class {text!r}{advice}")
