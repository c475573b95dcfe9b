"""Whether a net and a data set fit each other, checked before a run is made of them.

Classes: each has an output of the net, and of each of its heads.  Batches: batch normalisation
takes its statistics over the images of a step; over vectors and 1x1 maps it needs two of them.
Images: some of both splits can be read.
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
"""Names of classes in a message."""


def require_trainable(net: Net) -> None:
    """Raise DataError unless a net has one input and one output, as a recipe takes for granted."""
    inputs, outputs = len(net.graph.inputs), len(net.graph.outputs)
    if inputs != 1 or outputs != 1:
        raise DataError(
            f"{net.name} has {inputs} inputs and {outputs} outputs, and training knows nets of one "
            "image and one answer: give the others a `head`, or train the compiled module yourself"
        )


def other_names(net: Net, classes: Sequence[str]) -> list[str]:
    """Return a note if the spec calls its classes otherwise than the data does."""
    own = net.expects.classes
    if not own or own == tuple(classes):
        return []
    return [
        f"the data calls its classes {_first(classes)}, and the spec {_first(own)}: the run has "
        "the names of the data"
    ]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def require_outputs(net: Net, classes: Sequence[str]) -> list[str]:
    """Return notes on outputs without a class.

    Raises:
        DataError: the net or a head has fewer outputs than there are classes.
    """
    notes = []
    for row, outputs in _ends(net):
        if len(classes) > outputs:
            raise DataError(
                f"the data has {counted(len(classes), 'class')} ({_listed(classes)}), and row "
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
                f"{counted(len(classes), 'class')} ({_listed(classes)}); they only learn not to "
                f"answer. For a net without them {_remedy(net, row, len(classes))}"
            )
    return notes


def _ends(net: Net) -> Iterator[tuple[Row, int]]:
    """Yield the row at the end of the net, and of each head, with the number of its outputs."""
    graph = net.graph
    ends = [graph.outputs[0], *(head.output for head in graph.heads.values())]
    for stage in ends:
        row = next(row for row in graph.rows.values() if not row.is_inner and stage in row.stages)
        yield row, int(graph.stage(stage).known_shape.elements)


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else "")


def _remedy(net: Net, row: Row, classes: int) -> str:
    """Return how the net gets so many outputs: by a parameter, if it has one for that."""
    for name in _parameters(net):
        try:
            changed = from_source(net.source, {**net.settings, name: classes}, net.files)
        except SpecError:
            continue
        if all(outputs == classes for _, outputs in _ends(changed)):
            return f"give it --set {name}={classes}"
    return f"write {classes:,} outputs into row {row.label} of its spec"


def _parameters(net: Net) -> list[str]:
    """Return the names of the parameters in the header of a net's spec."""
    reader = Files(Problems(), net.files)
    statements = derive(reader.tree(net.source), reader).statements
    headers = [statement for statement in statements if isinstance(statement, syntax.Net)]
    return [parameter.name.text for header in headers for parameter in header.parameters]


# ------------------------------------------------------------------------------------------ images


def require_usable(net: Net, recipe: Recipe, splits: Splits) -> None:
    """Look for an image of each split that can be read and is as large as the net needs it.

    Raises:
        DataError: there is none, or none among the first that may be corrupt.
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
    """Return how many images a step needs: 2 for batch normalisation of one value an image and
    channel, which has no variance over one image; 1 for any other; 0 without it."""
    stages = [s for s in net.graph.stages() if isinstance(s.op, BatchNorm)]
    return 2 if any(_is_of_vectors(net, s.name) for s in stages) else min(len(stages), 1)


def require_batches(net: Net, images: int, batch: int) -> None:
    """Check that each step of an epoch has as many images as batch normalisation needs.

    Raises:
        DataError: one has a single image, and the net normalises vectors.
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
    advice = "add images" if other is None else f"give it --batch {other}"
    arithmetic = "a batch is 1 image"
    if batch > 1 and images > 1:
        full = counted(images // batch, "batch")
        arithmetic = f"{images:,} images are {full} of {batch} and a last one of 1 image"
    raise DataError(
        f"{arithmetic}, and `bn` in row {row} of {net.name} normalises single values over the "
        f"images of a batch, which needs 2 of them: {advice}"
    )


def _has_one_left(images: int, batch: int) -> bool:
    """Return whether a batch, or the last one of an epoch, is a single image."""
    return batch == 1 or images % batch == 1


def _is_of_vectors(net: Net, stage: str) -> bool:
    """Return whether a stage has one value an image and channel."""
    shape = net.graph.stage(stage).known_shape
    return bool(shape.elements == shape.channels)
