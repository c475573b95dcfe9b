"""Statistics of a training set: the means that are subtracted, and the colours' principal axes.

They are of pixels of 0..255, after the steps of ``prepare`` that change sizes.  All sums are of
integers and exact, so the result is the same whatever the number of workers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netspec.data.dataset import Dataset, Pixels
from netspec.errors import DataError
from netspec.files.tensors import Stored, opened_tensors
from netspec.ir.recipe import PrincipalComponents, Recipe, Subtract
from netspec.ir.shapes import Shape
from netspec.runtime.weights import require_tensors, save_tensors
from netspec.training.faults import Faults, tried
from netspec.training.geometry import Geometry, require_images
from netspec.training.workers import Workers

LEVELS = 256
CHUNK = 256
"""Images whose sums a worker sends at a time."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of a training set's pixels; float64, of values 0..255.

    Attributes:
        digest: of the data and of the steps that images went through.
        count: images.
        mean_channel: [C], over all pixels of all images.
        median_channel: [C]; of an even number of pixels, the mean of the two in the middle.
        covariance: [C, C] of the channels over all pixels, divided by their number.
        eigenvalues: [C] of the covariance, the greatest first.
        eigenvectors: [C, C], one a column, of length 1, the largest component positive.
        mean_image: [H, W, C]; None where images have several sizes.
        median_image: [H, W, C]; None unless the recipe subtracts it.
    """

    digest: str
    count: int
    mean_channel: Numbers
    median_channel: Numbers
    covariance: Numbers
    eigenvalues: Numbers
    eigenvectors: Numbers
    mean_image: Numbers | None = None
    median_image: Numbers | None = None

    def of(self, kind: str, over: str) -> Numbers:
        """Return the values that ``subtract KIND OVER`` subtracts.

        Raises:
            DataError: the statistics do not have them.
        """
        values: Numbers | None = getattr(self, f"{kind}_{over}")
        if values is None:
            raise DataError(
                f"there is no {kind} image: images have different sizes, or the statistics are "
                "of another recipe; prepare images to one size, with `resize`, or with `shorter` "
                f"and `center`, or write `subtract {kind} channel`"
            )
        return values


def are_needed(recipe: Recipe) -> bool:
    """Return whether a recipe uses statistics."""
    return any(
        isinstance(s, Subtract | PrincipalComponents) for s in recipe.prepare + recipe.augment
    )


def digest_of(dataset: Dataset, recipe: Recipe, shape: Shape) -> str:
    """Return a digest of what statistics depend on: the data, and the steps that change sizes."""
    text = f"{dataset.digest} {Geometry(recipe.prepare, shape.channels)}"
    return hashlib.sha256(text.encode()).hexdigest()


def measured(
    dataset: Dataset,
    recipe: Recipe,
    shape: Shape,
    *,
    workers: int = 0,
    allowed: int = 0,
    report: Callable[[int, Sequence[str]], None] = lambda done, faults: None,
) -> Statistics:
    """Return the statistics of a training set, from one pass over it.

    Args:
        dataset: the training set.
        recipe: its ``prepare`` is applied to images, as far as it changes sizes.
        shape: of the net's input.
        workers: processes that read.
        allowed: images that may be corrupt; they are left out.
        report: called now and then with the number of examples seen, and the new faults.

    Raises:
        DataError: more images are corrupt than allowed, all are, or a worker died.
    """
    require_images(shape)
    medians = any(
        isinstance(s, Subtract) and (s.what, s.over) == ("median", "image") for s in recipe.prepare
    )
    geometry = Geometry(recipe.prepare, shape.channels)
    pool = Workers(_Summing(dataset, geometry, medians), workers)
    faults = Faults(dataset, allowed)
    total = Sums(medians=medians)
    chunks = [range(i, min(i + CHUNK, len(dataset))) for i in range(0, len(dataset), CHUNK)]
    for chunk, (sums, chunk_faults) in zip(chunks, pool.results(chunks), strict=True):
        report(chunk.stop, tuple(chunk_faults.values()))
        faults.add(chunk_faults)
        total.merge(sums)
    faults.require_some(total.count)
    return total.statistics(digest_of(dataset, recipe, shape))


class Sums:
    """Sums over images, in integers: 2**63 holds the squares of 10**14 pixels."""

    def __init__(self, *, medians: bool) -> None:
        self.count = 0
        self.pixels = 0
        self.channel: NDArray[np.int64] | int = 0
        self.products: NDArray[np.int64] | int = 0
        self.histogram: NDArray[np.int64] | int = 0
        """[C, 256]: pixels of each value."""
        self.image: NDArray[np.int64] | int | None = 0
        """[H, W, C]; None where sizes differ."""
        self.medians = medians
        self.places: NDArray[np.int32] | None = None
        """[H, W, C, 256]: how often each value stood in each place."""

    def add(self, pixels: Pixels) -> None:
        channels = pixels.shape[2]
        flat = pixels.reshape(-1, channels)
        exact = flat.astype(np.float64)  # sums of squares of bytes are whole numbers below 2**53
        self.count += 1
        self.pixels += len(flat)
        self.channel = self.channel + exact.sum(axis=0).astype(np.int64)
        self.products = self.products + (exact.T @ exact).astype(np.int64)
        bins = flat + LEVELS * np.arange(channels)
        counted = np.bincount(bins.ravel(), minlength=LEVELS * channels)
        self.histogram = self.histogram + counted.reshape(channels, LEVELS)
        self._add_image(pixels.astype(np.int64))
        if self.medians and self.image is not None:
            if self.places is None:
                self.places = np.zeros((*pixels.shape, LEVELS), np.int32)
            self.places.reshape(-1)[np.arange(pixels.size) * LEVELS + pixels.ravel()] += 1

    def merge(self, other: Sums) -> None:
        self.count += other.count
        self.pixels += other.pixels
        self.channel = self.channel + other.channel
        self.products = self.products + other.products
        self.histogram = self.histogram + other.histogram
        self._add_image(other.image)
        if self.image is not None and other.places is not None:
            self.places = other.places if self.places is None else self.places + other.places

    def _add_image(self, image: NDArray[np.int64] | int | None) -> None:
        """Add an image of sums, unless there have been two sizes."""
        sizes = {x.shape for x in (self.image, image) if isinstance(x, np.ndarray)}
        if self.image is None or image is None or len(sizes) > 1:
            self.image = self.places = None
        else:
            self.image = self.image + image

    def statistics(self, digest: str) -> Statistics:
        """Return the means, medians and axes of the images that were added."""
        sums, products = np.asarray(self.channel), np.asarray(self.products)
        n = self.pixels
        # n^2 cov = n sum xx' - sum x sum x', whose terms are close: in whole numbers of any length
        exact = products.astype(object) * n - np.outer(sums.astype(object), sums.astype(object))
        covariance = (exact / n**2).astype(np.float64)
        eigenvalues, eigenvectors = principal_axes(covariance)
        image = self.image
        return Statistics(
            digest=digest,
            count=self.count,
            mean_channel=sums / n,
            median_channel=_medians(np.asarray(self.histogram)),
            covariance=covariance,
            eigenvalues=eigenvalues,
            eigenvectors=eigenvectors,
            mean_image=image / self.count if isinstance(image, np.ndarray) else None,
            median_image=None
            if self.places is None
            else np.stack([_medians(row) for row in self.places]),
        )


def principal_axes(covariance: Numbers) -> tuple[Numbers, Numbers]:
    """Return eigenvalues [C], the greatest first, and eigenvectors [C, C], one a column.

    The sign of each vector makes its largest component positive.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[largest, np.arange(len(values))] < 0, -1.0, 1.0)
    return values.copy(), vectors * signs


def _medians(histograms: NDArray[Any]) -> Numbers:
    """Return the medians of values 0..255 from the count of each, [..., 256] -> [...]."""
    upto = histograms.cumsum(axis=-1)
    count = upto[..., -1:]
    low, high = ((upto > half).argmax(axis=-1) for half in ((count - 1) // 2, count // 2))
    medians: Numbers = (low + high) / 2
    return medians


@dataclass(frozen=True)
class _Summing:
    """The sums over some examples, and the faults of those that were left out."""

    dataset: Dataset
    geometry: Geometry
    medians: bool

    def __call__(self, numbers: range) -> tuple[Sums, dict[int, str]]:
        sums, faults = Sums(medians=self.medians), dict[int, str]()
        for number in numbers:
            with tried(self.dataset, number, faults):
                sums.add(self.geometry(self.dataset.example(number).pixels))
        return sums, faults


# ------------------------------------------------------------------------------------------- files

ARRAYS = tuple(Statistics.__dataclass_fields__)[2:]


def save(statistics: Statistics, path: Path) -> None:
    """Write statistics to a safetensors file, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    arrays = {name: getattr(statistics, name) for name in ARRAYS}
    tensors = {name: torch.from_numpy(a) for name, a in arrays.items() if a is not None}
    notes = {"digest": statistics.digest, "count": str(statistics.count)}
    save_tensors(tensors, path, notes)


LARGEST = 2**28
"""Values of an image of means."""

_AGAIN = "remove it, and netspec train --resume measures it again"


def load(path: Path, digest: str, channels: int) -> Statistics:
    """Return statistics from a file, after a check of their digest and number of channels.

    Raises:
        DataError: the file cannot be read, is damaged, or is of other data or another ``prepare``.
    """
    with opened_tensors(path) as file:
        _require_arrays(file.tensors, channels, path)
        arrays = {name: tensor.numpy() for name, tensor in file.read().items()}
        count, stored_digest = file.notes.get("count", ""), file.notes.get("digest")
    if stored_digest is None or not re.fullmatch("[1-9][0-9]{0,17}", count):
        raise DataError(f"{path} does not hold statistics of a training set; {_AGAIN}")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise DataError(f"{path} is damaged: {name} is not finite; {_AGAIN}")
    if stored_digest != digest:
        raise DataError(
            f"the statistics in {path} are of other data, or of another `prepare`: "
            "means of one training set do not fit another; measure them again"
        )
    return Statistics(stored_digest, int(count), **arrays)


def _require_arrays(stored: Mapping[str, Stored], channels: int, path: Path) -> None:
    """Raise DataError unless a file holds the arrays of statistics in their shapes."""
    shapes = dict.fromkeys(("mean_channel", "median_channel", "eigenvalues"), (channels,))
    matrices = dict.fromkeys(("covariance", "eigenvectors"), (channels, channels))
    images = {name: stored[name].shape for name in ("mean_image", "median_image") if name in stored}
    for name, shape in images.items():
        if len(shape) != 3 or shape[2] != channels or not 0 < prod(shape) <= LARGEST:
            raise DataError(
                f"{path} is damaged: {name} is {list(shape)}, not height x width x {channels}; "
                f"{_AGAIN}"
            )
    require_tensors(
        stored,
        {**shapes, **matrices, **images},
        f"{path} does not hold statistics of this training set",
        "the statistics",
    )
