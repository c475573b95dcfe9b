"""The images of a data set that excite the maps of a row most, their crops and projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.data.dataset import Dataset
from netspec.see.deconvnet import deconvnet
from netspec.see.fields import Box, crop_of, largest_crop
from netspec.see.projection import as_image, tile
from netspec.see.streaming import Chunk, Summary, stream
from netspec.see.subject import Seen


class Strongest(Summary):
    """The images with the largest activation of each map: one activation per image and map.

    Of equal activations, the image with the smaller number and the first position in the map come
    first.

    Args:
        maps: number of maps or units.
        kept: number of images per map.

    Attributes:
        values: the activations, [maps, kept] float64, the largest first; minus infinity if there
            are fewer images.
        numbers: of the images in the data set, [maps, kept] int64.
        places: of the activations in the map, row * width + column, [maps, kept] int64.
    """

    def __init__(self, maps: int, kept: int) -> None:
        self.values = torch.full((maps, kept), -float("inf"), dtype=torch.float64)
        self.numbers = torch.zeros((maps, kept), dtype=torch.int64)
        self.places = torch.zeros((maps, kept), dtype=torch.int64)

    def add(self, chunk: Chunk) -> None:
        activations = chunk.activations
        flat = activations.reshape(*activations.shape[:2], -1)
        places = flat.argmax(2)
        values = flat.gather(2, places[..., None])[..., 0].double()
        kept = self.values.shape[1]
        everything = torch.cat([self.values, values.T], 1)
        # stable: of equal values the one before comes first, and images come in order
        order = everything.sort(dim=1, descending=True, stable=True).indices[:, :kept]
        self.values = everything.gather(1, order)
        new = chunk.numbers.expand(len(self.numbers), -1)
        self.numbers = torch.cat([self.numbers, new], 1).gather(1, order)
        self.places = torch.cat([self.places, places.T], 1).gather(1, order)

    def tensors(self) -> dict[str, Tensor]:
        return {"values": self.values, "numbers": self.numbers, "places": self.places}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        self.values, self.numbers = tensors["values"], tensors["numbers"]
        self.places = tensors["places"]


def strongest_of(
    seen: Seen,
    dataset: Dataset,
    row: str,
    kept: int,
    *,
    batch: int,
    workers: int,
    state: Path | None,
    advance: Callable[[int, int], None],
    note: Callable[[str], None],
) -> Strongest:
    """Return the images of a data set that excite each map of a row most.

    Args:
        seen, dataset, row, batch, workers, state, advance, note: as for
            :func:`netspec.see.streaming.stream`.
        kept: number of images per map; fewer if the data set has fewer that can be read.
    """
    strongest = Strongest(seen.shape_of(row).channels, min(kept, len(dataset)))
    stream(
        seen, dataset, row, strongest,
        batch=batch, workers=workers, state=state, advance=advance, note=note,
    )  # fmt: skip
    known = int(strongest.values[0].isfinite().sum())
    strongest.take({name: tensor[:, :known] for name, tensor in strongest.tensors().items()})
    return strongest


def loudest(strongest: Strongest, count: int) -> NDArray[np.int64]:
    """Return the numbers of the maps with the largest activations, in order; at most ``count``."""
    order = strongest.values[:, 0].sort(dim=0, descending=True, stable=True).indices[:count]
    return np.sort(order.numpy())


@dataclass(frozen=True)
class Excited:
    """Images that excite maps, cut to the part that the activations depend on.

    Attributes:
        positions: The row and column of each activation in its map, [M, K, 2].
        crops: The part of the image that it depends on: first row, first column, the row after the
            last, the column after the last, [M, K, 4].
        patches: These parts, floats of 0..1 [M, K, h, w, C]; h and w are those of the largest
            part of the row, and smaller ones, which are cut at a border of the image, are NaN
            beyond it.
        projections: The projections of the activations, as images of 0..1 of which 0.5 is no
            difference, [M, K, h, w, C].
    """

    positions: NDArray[np.int64]
    crops: NDArray[np.int64]
    patches: NDArray[np.float32]
    projections: NDArray[np.float32]


def excited_by(
    seen: Seen, dataset: Dataset, row: str, maps: NDArray[np.int64], strongest: Strongest
) -> Excited:
    """Return the parts of images that excite maps most, and the projections of the activations."""
    shape, graph = seen.shape_of(row), seen.net.graph
    width = shape[1] if shape.is_map else 1
    places = strongest.places[torch.from_numpy(maps)].numpy()
    positions = np.stack([places // width, places % width], -1)
    crops = np.array(
        [[crop_of(graph, row, (down, across)) for down, across in of_map.tolist()]
         for of_map in positions]
    )  # fmt: skip
    height, wide = largest_crop(graph, row)
    size = (*places.shape, height, wide, seen.net.input_shape.channels)
    patches, projections = np.empty(size, np.float32), np.empty(size, np.float32)
    for n, number in enumerate(maps.tolist()):
        pixels = [
            seen.preparation.sample(dataset.example(example).pixels).pixels
            for example in strongest.numbers[number].tolist()
        ]
        chosen = [(down, across) for down, across in positions[n].tolist()]
        projected = deconvnet(seen.model, seen.batch(pixels), row, number, chosen)
        signals = seen.preparation.differences(projected.pixels)
        for k, box in enumerate(Box(*crop) for crop in crops[n].tolist()):
            patches[n, k] = tile(pixels[k], box, height, wide)
            projections[n, k] = tile(as_image(signals[k]), box, height, wide)
    return Excited(positions, crops, patches, projections)
