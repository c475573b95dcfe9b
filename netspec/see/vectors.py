"""Activations of a row as vectors: the features that images are compared by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from netspec.data.dataset import Dataset
from netspec.errors import DataError
from netspec.ir.graph import Input
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.rbf import RadialBasis
from netspec.see.images import Sample
from netspec.see.streaming import BATCH, CHUNK, Chunk, Summary, stream
from netspec.see.subject import Seen

_CLASSIFIES = Conv | FullyConnected | RadialBasis
_PASSES_ON = Dropout | Flatten
"""Operators that do not change numbers when a net is tested."""


def features_row(seen: Seen) -> str:
    """Return the row or stage that the classifier reads, such as F7 of AlexNet.

    The classifier is the last fully connected layer, convolution or ``rbf``.

    Raises:
        DataError: the classifier reads the image, or there is none.
    """
    graph = seen.net.graph
    ends = {row.output: row.label for row in graph.rows.values()}
    name = graph.outputs[0]
    while not isinstance(graph.stage(name).op, _CLASSIFIES | Input):
        name = graph.operands(name)[0]
    before = graph.operands(name)
    while before and before[0] not in ends and isinstance(graph.stage(before[0]).op, _PASSES_ON):
        before = graph.operands(before[0])
    if not before or isinstance(graph.stage(before[0]).op, Input):
        raise DataError(
            f"{seen.net.name} does not have a row before its classifier: name a row with --row"
        )
    return ends.get(before[0], before[0])


@dataclass(frozen=True)
class Vectors:
    """The activations of a row for images of a data set.

    Attributes:
        row: the row or stage.
        numbers: of the images in the data set, increasing, [N] int64.
        labels: numbers of their classes, [N] int64.
        values: the activations, maps flattened, [N, D], of the type of the net.
    """

    row: str
    numbers: Tensor
    labels: Tensor
    values: Tensor


def vectors_of(
    seen: Seen,
    dataset: Dataset,
    row: str,
    numbers: Tensor | None = None,
    *,
    batch: int = BATCH,
    workers: int = 0,
    state: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Vectors:
    """Return the activations of a row for images of a data set, all of them in memory.

    Args:
        seen, dataset, row, batch, workers, state, advance, note: as for
            :func:`netspec.see.streaming.stream`.
        numbers: of the images to keep, increasing, [N] int64; by default all.  The pass computes
            the others as well, but does not keep them.
    """
    kept = torch.arange(len(dataset)) if numbers is None else numbers
    collected = _Collected(kept, seen.shape_of(row).elements, seen.dtype)
    stream(
        seen, dataset, row, collected,
        batch=batch, workers=workers, state=state, advance=advance, note=note,
    )  # fmt: skip
    used = collected.labels >= 0  # those that could be read
    return Vectors(row, kept[used], collected.labels[used], collected.values[used])


def vectors_of_samples(seen: Seen, row: str, samples: Sequence[Sample]) -> Tensor:
    """Return the activations of a row for images, maps flattened, [N, D], of the type of the net.

    Raises:
        DataError: an activation is not finite.
    """
    parts = []
    for start in range(0, len(samples), CHUNK):
        some = samples[start : start + CHUNK]
        images = seen.batch([sample.pixels for sample in some])
        padded = images.new_zeros(CHUNK, *images.shape[1:])
        padded[: len(some)] = images
        activations = seen.features(row, padded)[: len(some)].flatten(1)
        for sample, values in zip(some, activations, strict=True):
            if not bool(values.isfinite().all()):
                raise DataError(
                    f"the activations of {row} of {seen.net.name} are not finite for {sample.name}"
                )
        parts.append(activations)
    return torch.cat(parts)


class _Collected(Summary):
    """The activations and labels of chosen images; a label of -1 for one that was not read."""

    def __init__(self, kept: Tensor, size: int, dtype: torch.dtype) -> None:
        self.kept = kept
        self.about = kept.numpy().tobytes()
        self.values = torch.zeros(len(kept), size, dtype=dtype)
        self.labels = torch.full((len(kept),), -1)

    def add(self, chunk: Chunk) -> None:
        is_kept = torch.isin(chunk.numbers, self.kept)
        places = torch.searchsorted(self.kept, chunk.numbers[is_kept])
        self.values[places] = chunk.activations.flatten(1)[is_kept]
        self.labels[places] = chunk.labels[is_kept]

    def tensors(self) -> dict[str, Tensor]:
        return {"values": self.values, "labels": self.labels}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        self.values, self.labels = tensors["values"], tensors["labels"]
