"""Check that a net and a data set fit each other, before a run is created.

Classes: the net, and each of its heads, has an output for each class.  Batches: batch normalisation
computes statistics over the images of a step; for vectors and 1x1 maps it needs two images.
Images: both splits have an image that can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from netspec.data.dataset import Dataset, Pixels, Splits
from netspec.data.geometry import Geometry, require_images
from netspec.data.images import center
from netspec.errors import DataError
from netspec.ir.graph import Row
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.recipe import Recipe, Rescale
from netspec.ir.words import counted
from netspec.language import syntax
from netspec.language.diagnostics import Problems, SpecError
from netspec.language.files import Files
from netspec.language.variant import derive
from netspec.net import Net, from_source
from netspec.training.augment import as_it_comes
from netspec.training.batches import ALLOWED
from netspec.training.faults import Faults, tried

SHOWN = 5
"""Maximum number of class names in a message."""


def require_trainable(net: Net) -> None:
    """Raise DataError unless a net has one input and one output, which a recipe requires."""
    inputs, outputs = len(net.graph.inputs), len(net.graph.outputs)
    if inputs != 1 or outputs != 1:
        raise DataError(
            f"{net.name} has {inputs} inputs and {outputs} outputs, but training requires one "
            "input and one output: make other outputs a `head`, or train the compiled module in "
            "your own loop"
        )


def other_names(net: Net, classes: Sequence[str]) -> list[str]:
    """Return a note if the classes in the spec have other names than in the data."""
    own = net.expects.classes
    if not own or own == tuple(classes):
        return []
    return [
        f"the classes are named {_first(classes)} in the data and {_first(own)} in the spec: the "
        "run uses the names in the data"
    ]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def require_outputs(net: Net, classes: Sequence[str]) -> list[str]:
    """Return notes on outputs without a class.

    Raises:
        DataError: if the net or a head has fewer outputs than the data has classes.
    """
    notes = []
    for row, outputs in _ends(net):
        if len(classes) > outputs:
            raise DataError(
                f"the data has {counted(len(classes), 'class')} ({_listed(classes)}), but row "
                f"{row.label} of {net.name} has {counted(outputs, 'output')}: "
                f"{_remedy(net, row, len(classes))}"
            )
        if len(classes) < outputs:
            first, last = len(classes), outputs - 1
            without = f"outputs {first:,} to {last:,} of row {row.label} have"
            if first == last:
                without = f"output {first:,} of row {row.label} has"
            notes.append(
                f"{without} no class, since the data has "
                f"{counted(len(classes), 'class')} ({_listed(classes)}); they are trained towards "
                f"probability 0. To remove them, {_remedy(net, row, len(classes))}"
            )
    return notes


def _ends(net: Net) -> Iterator[tuple[Row, int]]:
    """Yield the last row of the net and of each head, with its number of outputs."""
    graph = net.graph
    ends = [graph.outputs[0], *(head.output for head in graph.heads.values())]
    for stage in ends:
        row = next(row for row in graph.rows.values() if not row.is_inner and stage in row.stages)
        yield row, int(graph.stage(stage).known_shape.elements)


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else "")


def _remedy(net: Net, row: Row, classes: int) -> str:
    """Return advice how to give the net as many outputs as there are classes.

    It names a parameter of the net if one sets the number of outputs.
    """
    for name in _parameters(net):
        try:
            changed = from_source(net.source, {**net.settings, name: classes}, net.files)
        except SpecError:
            continue
        if all(outputs == classes for _, outputs in _ends(changed)):
            return f"use --set {name}={classes}"
    return f"write {classes:,} outputs into row {row.label} of its spec"


def _parameters(net: Net) -> list[str]:
    """Return the names of the parameters declared in the header of a net's spec."""
    reader = Files(Problems(), net.files)
    statements = derive(reader.tree(net.source), reader).statements
    headers = [statement for statement in statements if isinstance(statement, syntax.Net)]
    return [parameter.name.text for header in headers for parameter in header.parameters]


# ------------------------------------------------------------------------------------------ images


def require_usable(net: Net, recipe: Recipe, splits: Splits) -> None:
    """Check that each split has an image that can be read and is large enough for the net.

    The search in a split ends at the first such image.

    Raises:
        DataError: if there is none, or more images before it are corrupt than ``ALLOWED``.
    """
    shape = net.input_shape
    require_images(shape)
    geometry = Geometry(recipe.prepare, shape.channels)

    def seen_at_its_centre(pixels: Pixels) -> None:
        center(geometry(pixels), shape[:2])

    is_rescaled = any(isinstance(step, Rescale) for step in recipe.augment)
    _require_one(splits.train, as_it_comes if is_rescaled else seen_at_its_centre)
    _require_one(splits.validation, seen_at_its_centre)


def _require_one(dataset: Dataset, prepare: Callable[[Pixels], object]) -> None:
    faults = Faults(dataset, ALLOWED)
    for number in range(len(dataset)):
        fault = dict[int, str]()
        with tried(dataset, number, fault):
            prepare(dataset.example(number).pixels)
            return
        faults.add(fault)
    faults.require_some(0)


# ----------------------------------------------------------------------------------------- batches


def least_images(net: Net) -> int:
    """Return the minimum number of images in a step.

    It is 2 if batch normalisation has one value per image and channel, since one value has no
    variance; 1 for any other batch normalisation; 0 without batch normalisation.
    """
    stages = [s for s in net.graph.stages() if isinstance(s.op, BatchNorm)]
    return 2 if any(_is_of_vectors(net, s.name) for s in stages) else min(len(stages), 1)


def require_batches(net: Net, images: int, batch: int) -> None:
    """Check that each step of an epoch has as many images as batch normalisation needs.

    Args:
        net: the net.
        images: number of images in the training set.
        batch: number of images per step.

    Raises:
        DataError: if a step has a single image and the net normalises vectors.
    """
    if least_images(net) < 2 or not _has_one_left(images, batch):
        return
    row = next(
        row.label
        for row in net.graph.rows.values()
        for stage in row.stages
        if isinstance(net.graph.stage(stage).op, BatchNorm) and _is_of_vectors(net, stage)
    )
    sizes = (b for d in range(1, images + 1) for b in (batch + d, batch - d) if b > 1)
    other = next((b for b in sizes if not _has_one_left(images, b)), None)
    advice = "add images" if other is None else f"use --batch {other}"
    arithmetic = "a batch is 1 image"
    if batch > 1 and images > 1:
        full = counted(images // batch, "batch")
        arithmetic = f"{images:,} images are {full} of {batch} and a last batch of 1 image"
    raise DataError(
        f"{arithmetic}, but `bn` in row {row} of {net.name} normalises single values over the "
        f"images of a batch, which needs at least 2 images: {advice}"
    )


def _has_one_left(images: int, batch: int) -> bool:
    """Return True if a batch, or the last batch of an epoch, is a single image."""
    return batch == 1 or images % batch == 1


def _is_of_vectors(net: Net, stage: str) -> bool:
    """Return True if a stage has one value per image and channel."""
    shape = net.graph.stage(stage).known_shape
    return bool(shape.elements == shape.channels)
