"""``netspec see codes``: search by short binary codes, beside exact search (AlexNet, section 6.1).

"Computing similarity by using Euclidean distance between two 4096-dimensional, real-valued vectors
is inefficient, but it could be made efficient by training an auto-encoder to compress these vectors
to short binary codes."
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.data.dataset import Dataset, Pixels
from netspec.data.subset import Subset
from netspec.errors import ArgumentError, DataError
from netspec.ir.arguments import place, whole
from netspec.ir.randomness import generator
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.see.autoencoder import STEPS, trained_encoder
from netspec.see.codes_figure import figure_of, name_of, percent, rate
from netspec.see.encoder import Encoder, hyperplanes, scale_of
from netspec.see.figures import Visualisation
from netspec.see.index import (
    FORMAT,
    LEAST_BITS,
    MOST_BITS,
    About,
    CodeIndex,
    prepare_digest,
    weights_digest,
)
from netspec.see.methods import KEPT, Comparison, Method, pixels_of
from netspec.see.streaming import BATCH, part_of, split_of, stream
from netspec.see.subject import Seen, open_seen
from netspec.see.vectors import Collected, Vectors, features_row, vectors_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

BITS = 32
LENGTHS = (8, 16, 32)
"""Lengths of codes in bits that are compared, with that of the index."""
QUERIES = 1000
MOST_IMAGES = 10_000
MOST_BYTES = 2**28
"""The largest number of queries, of images that are compared, and of bytes of their activations."""
SHOWN = 10
"""Queries in the picture, of different classes if there are as many."""


@dataclass(frozen=True, repr=False)
class Codes(Visualisation):
    """Search by binary codes of a row's activations, compared with exact search.

    S is the number of queries that are shown, K that of images found for each: 6.

    Attributes:
        caption: What is shown.
        data: Name of the split that is searched.
        held_out: Name of the split that queries are from.
        row: The row or stage.
        bits: Length of the codes that are shown and that the index has.
        images: Number of images that are searched to compare.
        queries: Number of queries.
        methods: The ways to search.
        shown: Numbers of the queries that are shown, in the held-out split, from 0, [S].
        names: Names of their classes, [S].
        by_codes: Numbers in the data of the images with the nearest codes, [S, K].
        by_features: Those of the images with the nearest activations, [S, K].
        distances: Hamming distances of ``by_codes``, [S, K].
        is_same: Whether an image has the class of the query, for codes and for activations,
            bool [2, S, K].
        index: The codes of all images of the split, with their encoder; ``index.save(path)``.
        pixels: The queries, uint8 [S, H, W, C].
        found: The images of ``by_codes`` and of ``by_features``, uint8 [2, S, K, H, W, C].
    """

    caption: str
    data: str
    held_out: str
    row: str
    bits: int
    images: int
    queries: int
    methods: tuple[Method, ...]
    shown: NDArray[np.int64]
    names: tuple[str, ...]
    by_codes: NDArray[np.int64]
    by_features: NDArray[np.int64]
    distances: NDArray[np.int64]
    is_same: NDArray[np.bool_]
    index: CodeIndex = field(metadata={"json": False})
    pixels: Pixels = field(metadata={"json": False})
    found: Pixels = field(metadata={"json": False})

    def draw(self) -> Figure:
        return figure_of(self)

    def lines(self) -> list[str]:
        return [
            f"{name_of(method, self.row)}: precision at {KEPT} "
            f"{percent(method.precision)}, {counted(method.bytes, 'byte')} per image, "
            f"{rate(method.queries_per_second)} queries per second"
            for method in self.methods
        ]


def codes(
    subject: Given,
    *,
    data: str | None = None,
    row: str | None = None,
    bits: int = BITS,
    seed: int = 0,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    batch: int = BATCH,
    workers: int = 0,
    state: str | Path | None = None,
    advance: Callable[[int, int], None] = lambda done, count: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Codes:
    """Return binary codes of the images of a data set, as ``netspec see codes`` does.

    An auto-encoder is trained on the activations of the training images for each length of code:
    8, 16, 32 and ``bits``.  Validation images, at most 1,000, are the queries.  For each, the six
    training images with the nearest codes are compared with those with the nearest activations and
    pixels, and with the codes that random hyperplanes give.

    Only ``queries_per_second`` differs from run to run.  The others do not depend on ``batch``,
    ``workers`` or an interruption.  With more than 10,000 training images, or activations of more
    than 256 MiB, the auto-encoders are trained and compared on images that are drawn at random, and
    the index has the codes of all.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        data: a data set, such as ``digits``; by default that of the run.
        row: a row or stage; by default the one before the classifier.  Maps are flattened.
        bits: length of the codes of the index: a multiple of 8, from 8 to 512.
        seed: of the auto-encoders, hyperplanes and images that are drawn.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.
        batch: number of images that are in memory at once.
        workers: number of processes that read images.
        state: the beginning of the paths of files in which the passes over the data and the
            training are saved; if they exist, the work continues.
        advance: called with the work so far and all work: images and steps of training.
        note: called with a sentence for each image that cannot be read and is skipped.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, the net does not have such a row, or the data has too
            few images.
        netspec.see.streaming.Interrupted: a signal stopped the work, which is saved in ``state``.
    """
    from netspec.data.opening import from_anywhere  # a picture of one image does not import data

    bits = require_bits(bits)
    seed, batch = whole("seed", seed, 0, 2**63 - 1), whole("batch", batch, 1, 100_000)
    workers = whole("workers", workers, 0, 1024)
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    row = features_row(seen) if row is None else row
    shape, lengths = seen.shape_of(row), sorted({*LENGTHS, bits})
    train, held_out = split_of(seen, data, "train"), split_of(seen, data, "validation")
    _require_enough(train, held_out)
    most = max(KEPT, min(MOST_IMAGES, MOST_BYTES // (shape.elements * seen.dtype.itemsize)))
    sample = _drawn(train, most, seed)
    asked = _drawn(held_out, min(QUERIES, most), seed)
    work = _Work(
        seen, row, batch=batch, workers=workers, note=note, advance=advance,
        state=None if state is None else place("state", state),
        count=len(asked) + len(sample) + STEPS * len(lengths)
        + (0 if len(sample) == len(train) else len(train)),
    )  # fmt: skip

    wanted, vectors = work.vectors(asked, "queries"), work.vectors(sample, "images")
    if len(vectors.values) < KEPT:
        raise DataError(f"{train.name}: fewer than {KEPT} images can be read")
    mean, scale = scale_of(vectors.values, row)
    encoders = {
        length: work.encoder(vectors.values, mean, scale, length, seed) for length in lengths
    }
    comparison = Comparison(vectors.labels.numpy(), wanted.labels.numpy(), len(train.classes))
    methods = []
    for length in lengths:
        planes = hyperplanes(mean, scale, length, seed)
        methods.append(comparison.codes("codes", encoders[length], vectors, wanted))
        methods.append(comparison.codes("hyperplanes", planes, vectors, wanted))
    methods.append(comparison.features(vectors, wanted))
    methods.append(comparison.pixels(seen, sample, vectors.numbers, asked, wanted.numbers))
    by_codes, distances = comparison.kept["codes", bits]
    by_features, _ = comparison.kept["features", 0]

    known = data if data is not None else seen.subject.data
    assert known is not None  # `split_of` opened it
    encoder = encoders[bits]
    index = CodeIndex(
        About(
            FORMAT, seen.net.name, row, weights_digest(seen), prepare_digest(seen),
            from_anywhere(known), train.name, train.digest, train.classes,
        ),
        encoder,
        *work.encoded(train, sample, vectors, encoder),
    )  # fmt: skip
    chosen = _shown(wanted.labels.numpy())
    numbers = sample.numbers[vectors.numbers.numpy()]  # of the images compared, in the data
    nearest = np.stack([by_codes[chosen], by_features[chosen]])
    labels = vectors.labels.numpy()[nearest], wanted.labels.numpy()[chosen]
    own = asked.numbers[wanted.numbers.numpy()[chosen]]
    return Codes(
        caption=f"Search by binary codes of {row}, and by its activations\n"
        f"queries: {some_of(wanted.values, held_out)}; searched: {some_of(vectors.values, train)}"
        f"\n{seen.called}",
        data=train.name,
        held_out=held_out.name,
        row=row,
        bits=bits,
        images=len(vectors.values),
        queries=len(wanted.values),
        methods=tuple(methods),
        shown=own,
        names=tuple(held_out.classes[label] for label in labels[1].tolist()),
        by_codes=numbers[by_codes[chosen]],
        by_features=numbers[by_features[chosen]],
        distances=distances[chosen],
        is_same=labels[0] == labels[1][np.newaxis, :, np.newaxis],
        index=index,
        pixels=pixels_of(seen, held_out, own),
        found=pixels_of(seen, train, numbers[nearest]),
    )


def some_of(images: Sized, dataset: Dataset) -> str:
    """Return the name of a data set, after the number of its images that are used, if not all."""
    count = len(images)
    return dataset.name if count == len(dataset) else f"{count:,} of {dataset.name}"


def require_bits(bits: int) -> int:
    """Return a length of codes; raise ValueError unless it is that of whole bytes."""
    bits = whole("bits", bits, LEAST_BITS, MOST_BITS)
    if bits % 8:
        raise ArgumentError(
            f"bits must be a multiple of 8, not {bits}: codes are stored as bytes; "
            f"{bits // 8 * 8} or {bits // 8 * 8 + 8}"
        )
    return bits


def _require_enough(train: Dataset, held_out: Dataset) -> None:
    if len(train) < KEPT or not len(held_out):
        raise DataError(
            f"{train.name} and {held_out.name} are too few images: codes need at least {KEPT} for "
            "training, and one held out for validation as a query"
        )


def _drawn(dataset: Dataset, most: int, seed: int) -> Subset:
    """Return a data set, or a random part of it if it has more than ``most`` images."""
    if len(dataset) <= most:
        return Subset(dataset, np.arange(len(dataset)))
    drawn = generator(seed, f"codes, {dataset.name}").choice(len(dataset), most, replace=False)
    return Subset(dataset, np.sort(drawn).astype(np.int64))


def _shown(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return places of the queries to show: the first of each class, then the second, ..."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rank[places] = np.arange(len(places))
    order = np.lexsort([labels, rank])[:SHOWN]
    return order[np.argsort(labels[order], kind="stable")]


# -------------------------------------------------------------------------------------------- work


class _Work:
    """The passes and trainings of a picture, which are saved and whose progress is shown."""

    def __init__(
        self,
        seen: Seen,
        row: str,
        *,
        batch: int,
        workers: int,
        state: Path | None,
        count: int,
        advance: Callable[[int, int], None],
        note: Callable[[str], None],
    ) -> None:
        self._seen, self._row = seen, row
        self._options: dict[str, Any] = {"batch": batch, "workers": workers, "note": note}
        self._state, self._count, self._advance = state, count, advance
        self._done = 0

    def _saved(self, name: str) -> dict[str, Any]:
        """Return where a part of the work is saved, and how it reports its progress."""
        before = self._done

        def advance(done: int, count: int) -> None:
            self._done = before + done
            self._advance(self._done, self._count)

        return {
            "state": None if self._state is None else part_of(self._state, name),
            "advance": advance,
        }

    def vectors(self, dataset: Subset, name: str) -> Vectors:
        """Return the activations of all images."""
        return vectors_of(self._seen, dataset, self._row, **self._options, **self._saved(name))

    def encoder(self, values: Tensor, mean: Tensor, scale: float, bits: int, seed: int) -> Encoder:
        """Return a trained encoder."""
        return trained_encoder(
            values, mean, scale, bits, seed=seed, steps=STEPS, **self._saved(f"{bits}-bits")
        )

    def encoded(
        self, train: Dataset, sample: Subset, vectors: Vectors, encoder: Encoder
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """Return codes, labels and numbers of all images that can be read."""
        if len(sample) == len(train):
            return encoder.encode(vectors.values), vectors.labels.numpy(), vectors.numbers.numpy()
        coded = Collected(
            torch.zeros(len(train), encoder.bits // 8, dtype=torch.uint8),
            lambda activations: torch.from_numpy(encoder.encode(activations)),
            encoder.content,
        )
        stream(self._seen, train, self._row, coded, **self._options, **self._saved("index"))
        numbers, labels, codes = coded.used()
        return codes.numpy(), labels.numpy(), numbers.numpy()
