"""Statistics of a training set: means, medians, and the principal axes of colours.

They are computed from pixels of 0..255, after the steps of ``prepare`` that change sizes.  All sums
are exact integers, so the result does not depend on the number of workers.
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
from netspec.data.geometry import Geometry, require_images
from netspec.errors import DataError
from netspec.files.tensors import Stored, opened_tensors
from netspec.ir.recipe import PrincipalComponents, Recipe, Subtract
from netspec.ir.shapes import Shape
from netspec.runtime.weights import require_tensors, save_tensors
from netspec.training.faults import Faults, tried
from netspec.training.workers import Workers

LEVELS = 256
CHUNK = 256
"""Number of images that a worker adds before it sends the sums."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of the pixels of a training set, as float64 for values of 0..255.

    Attributes:
        digest: digest of the data and of the steps that change sizes.
        count: number of images.
        mean_channel: [C], mean over all pixels of all images.
        median_channel: [C], median; for an even number of pixels, the mean of the middle two.
        covariance: [C, C], covariance of the channels over all N pixels, divided by N.
        eigenvalues: [C], eigenvalues of the covariance, the largest first.
        eigenvectors: [C, C], one per column, of length 1, with the largest component positive.
        mean_image: [H, W, C]; None if images have different sizes.
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

        Args:
            kind: ``mean`` or ``median``.
            over: ``channel`` or ``image``.

        Raises:
            DataError: if the statistics do not have them.
        """
        values: Numbers | None = getattr(self, f"{kind}_{over}")
        if values is None:
            raise DataError(
                f"there is no {kind} image: the images have different sizes, or the statistics "
                "are for another recipe; bring images to one size with `resize`, or with "
                f"`shorter` and `center`; or write `subtract {kind} channel`"
            )
        return values


def are_needed(recipe: Recipe) -> bool:
    """Return True if a recipe uses statistics."""
    return any(
        isinstance(s, Subtract | PrincipalComponents) for s in recipe.prepare + recipe.augment
    )


def digest_of(dataset: Dataset, recipe: Recipe, shape: Shape) -> str:
    """Return a digest of the inputs of statistics: the data, and the steps that change sizes."""
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
    """Return the statistics of a training set, computed in one pass over it.

    Args:
        dataset: the training set.
        recipe: the recipe, whose ``prepare`` steps that change sizes are applied to images.
        shape: shape of the net's input, height x width x channels.
        workers: number of processes that read; 0 reads in this process.
        allowed: number of images that may be corrupt; they are omitted.
        report: called after each chunk with the number of examples read and the new faults.

    Raises:
        DataError: if more images are corrupt than allowed, if all are, or if a worker died.
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
    """Sums over images, as exact int64: 2**63 is enough for the squares of 10**14 pixels."""

    def __init__(self, *, medians: bool) -> None:
        self.count = 0
        self.pixels = 0
        self.channel: NDArray[np.int64] | int = 0
        self.products: NDArray[np.int64] | int = 0
        self.histogram: NDArray[np.int64] | int = 0
        """[C, 256]: number of pixels with each value."""
        self.image: NDArray[np.int64] | int | None = 0
        """[H, W, C]: sum of the images; None if their sizes differ."""
        self.medians = medians
        self.places: NDArray[np.int32] | None = None
        """[H, W, C, 256]: number of images with each value at each place."""

    def add(self, pixels: Pixels) -> None:
        """Add an image [H, W, C]."""
        channels = pixels.shape[2]
        flat = pixels.reshape(-1, channels)
        # float64 products are fast and exact: sums of squares of bytes are integers below 2**53
        exact = flat.astype(np.float64)
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
        """Add the sums of other images."""
        self.count += other.count
        self.pixels += other.pixels
        self.channel = self.channel + other.channel
        self.products = self.products + other.products
        self.histogram = self.histogram + other.histogram
        self._add_image(other.image)
        if self.image is not None and other.places is not None:
            self.places = other.places if self.places is None else self.places + other.places

    def _add_image(self, image: NDArray[np.int64] | int | None) -> None:
        """Add an image to the sum of images; drop the sum once two sizes were added."""
        sizes = {x.shape for x in (self.image, image) if isinstance(x, np.ndarray)}
        if self.image is None or image is None or len(sizes) > 1:
            self.image = self.places = None
        else:
            self.image = self.image + image

    def statistics(self, digest: str) -> Statistics:
        """Return the statistics of all images that were added."""
        sums, products = np.asarray(self.channel), np.asarray(self.products)
        n = self.pixels
        # n^2 cov = n sum xx' - sum x sum x': the terms nearly cancel, so use Python's integers
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
    """Return eigenvalues [C], the largest first, and eigenvectors [C, C], one per column.

    The sign of an eigenvector is arbitrary; it is chosen so that the largest component is positive.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[largest, np.arange(len(values))] < 0, -1.0, 1.0)
    return values.copy(), vectors * signs


def _medians(histograms: NDArray[Any]) -> Numbers:
    """Return the medians of values 0..255 from their histograms, [..., 256] -> [...]."""
    upto = histograms.cumsum(axis=-1)
    count = upto[..., -1:]
    low, high = ((upto > half).argmax(axis=-1) for half in ((count - 1) // 2, count // 2))
    medians: Numbers = (low + high) / 2
    return medians


@dataclass(frozen=True)
class _Summing:
    """The task of a worker: sums over some examples, and the faults of omitted ones."""

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
        DataError: if the file cannot be written.
    """
    arrays = {name: getattr(statistics, name) for name in ARRAYS}
    tensors = {name: torch.from_numpy(a) for name, a in arrays.items() if a is not None}
    notes = {"digest": statistics.digest, "count": str(statistics.count)}
    save_tensors(tensors, path, notes)


LARGEST = 2**28
"""Maximum number of values of a mean image."""

_AGAIN = "remove it, and netspec train --resume computes it again"


def load(path: Path, digest: str, channels: int) -> Statistics:
    """Return statistics from a file.

    Args:
        path: the file.
        digest: expected digest, from :func:`digest_of`.
        channels: expected number of channels.

    Raises:
        DataError: if the file cannot be read or is damaged, or if its digest differs: it is for
            other data or another ``prepare``.
    """
    with opened_tensors(path) as file:
        _require_arrays(file.tensors, channels, path)
        arrays = {name: tensor.numpy() for name, tensor in file.read().items()}
        count, stored_digest = file.notes.get("count", ""), file.notes.get("digest")
    if stored_digest is None or not re.fullmatch("[1-9][0-9]{0,17}", count):
        raise DataError(f"{path} does not contain statistics of a training set; {_AGAIN}")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise DataError(f"{path} is damaged: {name} is not finite; {_AGAIN}")
    if stored_digest != digest:
        raise DataError(
            f"the statistics in {path} are for other data or another `prepare`, so they do not "
            f"fit this run; {_AGAIN}"
        )
    return Statistics(stored_digest, int(count), **arrays)


def _require_arrays(stored: Mapping[str, Stored], channels: int, path: Path) -> None:
    """Raise DataError unless a file holds the arrays of statistics with the right shapes."""
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
        f"{path} does not contain statistics of this training set",
        "the statistics",
    )
