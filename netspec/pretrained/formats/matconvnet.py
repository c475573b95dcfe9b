"""Read MatConvNet's ``.mat`` files: nets of both of its classes, SimpleNN and DagNN.

Filters are [h, w, in/groups, out] there and become [out, in/groups, h, w].
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from netspec.pretrained.formats.common import (
    MOST_OBJECTS,
    Damaged,
    most_content,
    opened_plain,
    reading,
    required,
)
from netspec.pretrained.layers import Layer, Weights

HEADER, COMPRESSED, PIECE = 128, 15, 2**20


def read(path: Path) -> Weights:
    """Return the layers of a ``.mat`` file, convolutions in its order.

    A fully connected layer is a convolution over its whole map there.

    Raises:
        DataError: the file cannot be read, is damaged, or does not contain a net.
    """
    scipy = required("scipy.io", "scipy")
    with reading(path, ValueError, TypeError, KeyError, IndexError, struct.error):
        with opened_plain(path) as (file, size):
            if file.read(10) == b"MATLAB 7.3":
                raise Damaged("it is of version 7.3: save it in MATLAB with save(FILE, '-v7')")
            _require_small(file, size)
        content = scipy.loadmat(path, struct_as_record=False)  # sizes of 1 are kept
        net = _one(content.get("net"))
        params = getattr(net, "params", content.get("params"))
        own = getattr(net, "layers", content.get("layers"))
        if params is not None and np.size(params):
            layers = list(_of_parameters(np.ravel(params)))
        elif own is not None:
            layers = list(_of_layers(np.ravel(own)))
        else:
            raise Damaged("it does not contain a net of MatConvNet")
    return Weights(path, "matconvnet", tuple(layers), is_ordered=True)


def _one(value: Any) -> Any:
    """Return what MATLAB's arrays of one element contain."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.flat[0]
    return value


def _word(value: Any) -> str:
    return str(np.ravel(value)[0]) if np.size(value) else ""


def _of_layers(layers: Any) -> Iterator[Layer]:
    """Yield the layers of a SimpleNN, which are in order of execution."""
    for cell in layers:
        layer = _one(cell)
        values = [np.asarray(value) for value in np.ravel(getattr(layer, "weights", ()))]
        if not values and hasattr(layer, "filters"):
            values = [layer.filters, layer.biases]
        if not values:
            continue
        if _word(getattr(layer, "type", "")) == "bnorm":
            raise Damaged("it has batch normalisation, which is not read from this format")
        yield _layer(_word(layer.name), values[0], values[1] if len(values) > 1 else None)


def _of_parameters(parameters: Any) -> Iterator[Layer]:
    """Yield the layers of a DagNN, whose parameters are named ``LAYER_filter``, ``LAYER_bias``."""
    values = {_word(one.name): np.asarray(one.value) for one in map(_one, parameters)}
    for name, value in values.items():
        for filters, biases in (("_filter", "_bias"), ("f", "b")):
            layer = name.removesuffix(filters)
            if name.endswith(filters) and f"{layer}{biases}" in values:
                yield _layer(layer, value, values[f"{layer}{biases}"])
                break


def _layer(name: str, filters: Any, biases: Any) -> Layer:
    if filters.dtype.kind != "f":
        raise Damaged("its filters are not numbers")
    while filters.ndim < 4:  # MATLAB drops last dimensions of 1
        filters = filters[..., np.newaxis]
    tensors: dict[str, Tensor] = {
        "weight": torch.from_numpy(np.ascontiguousarray(filters.transpose(3, 2, 0, 1)))
    }
    if biases is not None and np.size(biases):
        tensors["bias"] = torch.from_numpy(np.ravel(biases).astype(filters.dtype))
    return Layer(name, "conv", tensors, {role: f"{name}.{role}" for role in tensors})


def _require_small(file: BinaryIO, size: int) -> None:
    """Raise Damaged if what a file claims, or unpacks to, is more than its size allows."""
    left = most_content(size)
    file.seek(HEADER)
    for _ in range(MOST_OBJECTS):
        tag = file.read(8)
        if not tag:
            return
        kind, length = struct.unpack("<II", tag)
        if length > size - file.tell():
            raise Damaged("it is truncated: a value claims more bytes than the file has")
        if kind != COMPRESSED:
            file.seek(length, 1)
            continue
        unpacking = zlib.decompressobj()
        content = file.read(length)
        while content and not unpacking.eof:
            left -= len(unpacking.decompress(content, PIECE))
            content = unpacking.unconsumed_tail
            if left < 0:
                raise Damaged("it unpacks to more than a net has")
    raise Damaged("it has too many values")
