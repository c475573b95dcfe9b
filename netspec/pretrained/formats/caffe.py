"""Caffe's ``.caffemodel``: the message NetParameter of protobuf, with layers of both generations.

The fields of NetParameter are read one at a time, and the library parses those that are layers: a
claimed length is compared with the size of the file first, and the memory in use is that of the
tensors and of one layer.  Numbers and types of fields are those of src/caffe/proto/caffe.proto in
https://github.com/BVLC/caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.files.members import shown
from netspec.pretrained.formats.common import (
    MOST_DIMENSIONS,
    MOST_OBJECTS,
    Damaged,
    is_shape_of,
    opened_plain,
    reading,
    required,
)
from netspec.pretrained.formats.protobuf import BYTES, Field, fields
from netspec.pretrained.layers import Layer, Weights

NAME, OLD_LAYER, LAYER = 1, 2, 100
"""Numbers of the fields of NetParameter: its name, a V1LayerParameter, a LayerParameter."""

BLOBS = {OLD_LAYER: 6, LAYER: 7}
"""Numbers of the fields of layers that contain blobs."""

DATA = {5: "<f4", 8: "<f8"}
"""Types of the values of a blob, by the numbers of their fields."""

LARGEST_MEAN = 2**26
"""The largest size of a file with a mean image in bytes: 4,000 x 4,000 x 3 values."""

FORMAT = "Caffe"

MOST_FIELDS = 1_000
"""The largest number of fields of a layer, and of a blob with packed values; real ones have 30."""

# The blobs of layers are not declared: they are read where they are, without a copy.  Names are
# declared as bytes, because files may contain some that are not UTF-8.
_OPTIONAL, _REPEATED = 1, 3
_FLOAT, _DOUBLE, _INT64, _INT32, _BOOL, _BYTES = 2, 1, 3, 5, 8, 12
_SCHEMA: dict[str, dict[str, tuple[int, int, int]]] = {
    "Shape": {"dim": (1, _REPEATED, _INT64)},
    "Blob": {
        "num": (1, _OPTIONAL, _INT32),
        "channels": (2, _OPTIONAL, _INT32),
        "height": (3, _OPTIONAL, _INT32),
        "width": (4, _OPTIONAL, _INT32),
        "data": (5, _REPEATED, _FLOAT),
        "shape": (7, _OPTIONAL, _BYTES),
        "double_data": (8, _REPEATED, _DOUBLE),
    },
    "OldLayer": {
        "oldest": (1, _OPTIONAL, _BYTES),
        "bottom": (2, _REPEATED, _BYTES),
        "top": (3, _REPEATED, _BYTES),
        "name": (4, _OPTIONAL, _BYTES),
        "type": (5, _OPTIONAL, _INT32),
    },
    "NewLayer": {
        "name": (1, _OPTIONAL, _BYTES),
        "type": (2, _OPTIONAL, _BYTES),
        "bottom": (3, _REPEATED, _BYTES),
        "top": (4, _REPEATED, _BYTES),
        "inner_product_param": (117, _OPTIONAL, _BYTES),
        "batch_norm_param": (139, _OPTIONAL, _BYTES),
    },
    "InnerProduct": {"transpose": (6, _OPTIONAL, _BOOL)},
    "BatchNorm": {"eps": (3, _OPTIONAL, _FLOAT)},
}

_OLD_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}
_KINDS = {
    "Convolution": "conv",
    "ConvolutionDepthwise": "conv",  # of forks of Caffe, for MobileNet
    "DepthwiseConvolution": "conv",
    "Deconvolution": "deconv",
    "InnerProduct": "fc",
}
_DIMENSIONS = {"conv": 4, "deconv": 4, "fc": 2}
_ROLES = ("weight", "bias")
_DEFAULT_EPS = 1e-5


@dataclass(frozen=True)
class _Stored:
    """A layer of the file that has blobs, or a normalisation whose scale follows."""

    name: str
    type: str
    bottoms: Sequence[str]
    tops: Sequence[str]
    blobs: Sequence[Tensor]
    is_transposed: bool
    eps: float


def read(path: Path) -> Weights:
    """Return the layers of a ``.caffemodel``.

    A BatchNorm and the Scale that follows it are one layer of kind ``norm``.  Layers without blobs
    are ignored, such as data and losses of a training net.

    Raises:
        DataError: the file cannot be read or is not a complete ``.caffemodel``.
    """
    error = required("google.protobuf.message", "protobuf").DecodeError
    layers, facts, open_norms = list[Layer](), dict[str, str](), dict[str, int]()
    is_any = False
    with reading(path, error), opened_plain(path) as (file, size):
        _require_other_than_hdf5(file)
        for field in fields(file, 0, size, MOST_OBJECTS, FORMAT):
            if field.number == NAME and field.wire == BYTES:
                facts["net"] = shown(_text(file.read(min(field.end - field.begin, 2**10))))
            if field.number not in BLOBS or field.wire != BYTES:
                continue
            is_any = True
            stored = _parsed(field.number, file.read(field.end - field.begin))
            norm = open_norms.get(stored.bottoms[0]) if stored.bottoms else None
            for top in stored.tops:  # what is written there now is not the normalisation's output
                open_norms.pop(top, None)
            if not stored.blobs:
                continue
            if stored.type == "Scale" and norm is not None:
                open_norms.pop(stored.bottoms[0], None)
                layers[norm] = _scaled(layers[norm], stored)
                continue
            if stored.type == "BatchNorm":
                open_norms.update((top, len(layers)) for top in stored.tops)
            layers.append(_layer(stored))
        if not is_any:
            raise Damaged("it is not a .caffemodel: it has no layers")
        _require_different([layer.name for layer in layers])
    return Weights(path, "caffe", tuple(layers), is_ordered=True, facts=facts)


def read_mean(path: Path) -> NDArray[np.float64]:
    """Return the mean image of a ``.binaryproto``: [height, width, channels], in BGR order.

    Raises:
        DataError: the file cannot be read or does not contain one image.
    """
    error = required("google.protobuf.message", "protobuf").DecodeError
    with reading(path, error), opened_plain(path) as (file, size):
        if size > LARGEST_MEAN:
            raise Damaged(f"it is not a mean image: it has more than {LARGEST_MEAN:,} bytes")
        mean = _blob(file.read(LARGEST_MEAN), 0, size)
        if mean.dim() == 4 and mean.shape[0] == 1:
            mean = mean[0]
        if mean.dim() != 3 or not mean.numel():
            raise Damaged(f"it is not a mean image: its shape is {list(mean.shape)}")
    image: NDArray[np.float64] = mean.permute(1, 2, 0).double().contiguous().numpy()
    return image


# ------------------------------------------------------------------------------------------ layers


def _layer(stored: _Stored) -> Layer:
    if stored.type == "BatchNorm":
        return _norm(stored)
    kind, blobs = _KINDS.get(stored.type, "other"), list(stored.blobs)
    if kind != "other" and len(blobs) > len(_ROLES):
        raise Damaged(f"the layer {shown(stored.name)} has {len(blobs)} blobs, not 1 or 2")
    if kind != "other" and blobs[0].dim() != _DIMENSIONS[kind] and blobs[0].dim() != 4:
        kind = "other"  # a convolution of signals or volumes
    if kind == "fc":
        blobs[0] = _last(stored.name, blobs[0], 2)
        if stored.is_transposed:
            blobs[0] = blobs[0].t().contiguous()
    if kind != "other" and len(blobs) == 2:
        blobs[1] = _last(stored.name, blobs[1], 1)
    if stored.type == "PReLU":
        blobs[0] = blobs[0].flatten()
    roles = _ROLES if len(blobs) <= len(_ROLES) else [str(number) for number in range(len(blobs))]
    tensors = dict(zip(roles, blobs, strict=False))
    return Layer(stored.name, kind, tensors, _names(stored.name, tensors))


def _norm(stored: _Stored) -> Layer:
    """Return the layer of a BatchNorm.

    Its blobs are sums of means and of variances, and the number, with decay, of their terms.
    """
    if len(stored.blobs) != 3 or stored.blobs[2].numel() != 1:
        raise Damaged(f"the layer {shown(stored.name)} is not a BatchNorm of Caffe with 3 blobs")
    mean, variance = (_last(stored.name, blob, 1) for blob in stored.blobs[:2])
    count = stored.blobs[2].item()
    factor = 1 / count if count else 0.0
    tensors = {"running_mean": mean * factor, "running_var": variance * factor}
    return Layer(stored.name, "norm", tensors, _names(stored.name, tensors), eps=stored.eps)


def _scaled(norm: Layer, scale: _Stored) -> Layer:
    """Return a normalisation with the weight and the bias of the Scale that follows it."""
    values = {
        role: _last(scale.name, blob, 1) for role, blob in zip(_ROLES, scale.blobs, strict=False)
    }
    return replace(
        norm,
        tensors={**values, **norm.tensors},
        names={**_names(scale.name, values), **norm.names},
    )


def _names(layer: str, tensors: dict[str, Tensor]) -> dict[str, str]:
    """Return names of blobs, which have a layer and a number: ``conv1[0]``."""
    return {role: f"{layer}[{number}]" for number, role in enumerate(tensors)}


def _last(layer: str, blob: Tensor, dimensions: int) -> Tensor:
    """Return a blob with its last dimensions; old files write 1 for those before."""
    shape = blob.shape[-dimensions:]
    if blob.dim() < dimensions or prod(shape) != blob.numel():
        raise Damaged(f"a blob of the layer {shown(layer)} has the shape {list(blob.shape)}")
    return blob.reshape(shape)


def _require_different(names: Sequence[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise Damaged(f"two layers have the name {shown(name) or '(empty)'}")
        seen.add(name)


# ---------------------------------------------------------------------------------------- messages


def _parsed(number: int, content: bytes) -> _Stored:
    own = list(fields(BytesIO(content), 0, len(content), MOST_FIELDS, FORMAT))
    parts = [field for field in own if field[:2] == (BLOBS[number], BYTES)]
    rest = b"".join(content[field.start : field.end] for field in own if field not in parts)
    blobs = [_blob(content, part.begin, part.end) for part in parts]
    if number == OLD_LAYER:
        layer = _messages()["OldLayer"].FromString(rest)
        if layer.HasField("oldest"):
            raise Damaged(
                "it has the layers of Caffe's first format, of 2013",
                "convert it with Caffe's upgrade_net_proto_binary",
            )
        kind = _OLD_TYPES.get(layer.type, f"V1 type {layer.type}")
        is_transposed, eps = False, _DEFAULT_EPS
    else:
        layer = _messages()["NewLayer"].FromString(rest)
        kind = _text(layer.type)
        product = _messages()["InnerProduct"].FromString(layer.inner_product_param)
        norm = _messages()["BatchNorm"].FromString(layer.batch_norm_param)
        is_transposed, eps = product.transpose, norm.eps if norm.HasField("eps") else _DEFAULT_EPS
    bottoms, tops = ([_text(name) for name in names] for names in (layer.bottom, layer.top))
    return _Stored(_text(layer.name), kind, bottoms, tops, blobs, is_transposed, eps)


def _blob(content: bytes, begin: int, end: int) -> Tensor:
    """Return the tensor of a BlobProto, a part of some content."""
    every = fields(BytesIO(content), begin, end, end - begin, FORMAT)
    own = list(islice(every, MOST_FIELDS + 1))
    data = [field for field in own if field.number in DATA]
    # Values that are not packed are a field each: the library then parses them all.
    is_packed = len(own) <= MOST_FIELDS and all(field.wire == BYTES for field in data)
    rest = [content[field.start : field.end] for field in own if field.number not in DATA]
    blob = _messages()["Blob"].FromString(b"".join(rest) if is_packed else content[begin:end])
    shape: list[int] = []
    if blob.HasField("shape"):
        shape = list(_messages()["Shape"].FromString(blob.shape).dim)
    elif any(map(blob.HasField, ("num", "channels", "height", "width"))):
        shape = [blob.num, blob.channels, blob.height, blob.width]
    if is_packed:
        arrays = [_array(content, field) for field in data]
    else:
        both = ((blob.data, "<f4"), (blob.double_data, "<f8"))
        arrays = [np.fromiter(values, dtype, len(values)) for values, dtype in both if values]
    values = arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(0, "<f4"), *arrays])
    if not is_shape_of(shape, len(values)):
        sizes = f"the shape {shape}" if len(shape) <= MOST_DIMENSIONS else f"{len(shape)} sizes"
        raise Damaged(f"it is damaged: a blob has {sizes} and {len(values):,} values")
    return torch.from_numpy(values).reshape(shape)


def _array(content: bytes, field: Field) -> NDArray[Any]:
    """Return the packed values of a field."""
    dtype, size = np.dtype(DATA[field.number]), field.end - field.begin
    if size % dtype.itemsize:
        raise Damaged(f"it is damaged: a blob has {size:,} bytes of {dtype.name} values")
    return np.frombuffer(content, dtype, size // dtype.itemsize, field.begin).copy()


@cache
def _messages() -> dict[str, Any]:
    """Return the classes of the messages of the schema."""
    descriptors = required("google.protobuf.descriptor_pb2", "protobuf")
    pool = required("google.protobuf.descriptor_pool", "protobuf").DescriptorPool()
    factory = required("google.protobuf.message_factory", "protobuf")
    file = descriptors.FileDescriptorProto(name="netspec_caffe.proto", package="netspec_caffe")
    for name, members in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, label, kind) in members.items():
            message.field.add(name=field, number=number, label=label, type=kind)
    pool.Add(file)
    return {
        name: factory.GetMessageClass(pool.FindMessageTypeByName(f"netspec_caffe.{name}"))
        for name in _SCHEMA
    }


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _require_other_than_hdf5(file: BinaryIO) -> None:
    if file.read(8) == b"\x89HDF\r\n\x1a\n":
        raise Damaged(
            "it is a snapshot of Caffe in HDF5, which is not supported",
            "save it in Caffe with snapshot_format: BINARYPROTO",
        )
    file.seek(0)
