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
        numbers: of the images in the data set, increasing, [N] int64.
        labels: numbers of their classes, [N] int64.
        values: the activations, maps flattened, [N, D], of the type of the net.
    """

    numbers: Tensor
    labels: Tensor
    values: Tensor


def vectors_of(
    seen: Seen,
    dataset: Dataset,
    row: str,
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
    """
    collected = Collected(torch.zeros(len(dataset), seen.shape_of(row).elements, dtype=seen.dtype))
    stream(
        seen, dataset, row, collected,
        batch=batch, workers=workers, state=state, advance=advance, note=note,
    )  # fmt: skip
    return Vectors(*collected.used())


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


class Collected(Summary):
    """A value of each image of a pass, and its label.

    Args:
        values: where the values are written, [N, ...]; N is the number of images of the data set.
        value_of: returns the values of activations [n, D]; by default these themselves.
        about: what ``value_of`` depends on.
    """

    def __init__(
        self,
        values: Tensor,
        value_of: Callable[[Tensor], Tensor] = lambda activations: activations,
        about: bytes = b"",
    ) -> None:
        self.values, self._value_of, self.about = values, value_of, about
        self.labels = torch.full((len(values),), -1)

    def add(self, chunk: Chunk) -> None:
        self.values[chunk.numbers] = self._value_of(chunk.activations.flatten(1))
        self.labels[chunk.numbers] = chunk.labels

    def used(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return numbers, labels and values of the images that could be read."""
        is_used = self.labels >= 0
        return is_used.nonzero()[:, 0], self.labels[is_used], self.values[is_used]

    def tensors(self) -> dict[str, Tensor]:
        return {"values": self.values, "labels": self.labels}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        self.values, self.labels = tensors["values"], tensors["labels"]
