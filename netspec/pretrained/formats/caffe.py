"""Caffe's ``.caffemodel``: the message NetParameter of protobuf, with layers of both generations.

The fields of NetParameter are read one at a time, and the library parses those that are layers: a
claimed length is compared with the size of the file first, and the memory in use is that of the
tensors and of one layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    MOST_OBJECTS,
    Damaged,
    opened_plain,
    reading,
    required,
)
from netspec.pretrained.layers import Layer, Weights

NAME, OLD_LAYER, LAYER = 1, 2, 100
"""Numbers of the fields of NetParameter: its name, a V1LayerParameter, a LayerParameter."""

MOST_DIMENSIONS = 32

LARGEST_MEAN = 2**26
"""The largest size of a file with a mean image in bytes: 4,000 x 4,000 x 3 values."""

VARINT, BYTES = 0, 2
_LENGTHS = {VARINT: 0, 1: 8, BYTES: 0, 5: 4}
"""Wire types of protobuf, and the bytes of their content after a number or a length."""

MOST_FIELDS = 1_000
"""The largest number of fields of a layer, and of a blob with packed values; real ones have 30."""

# Names are declared as bytes, because files may contain some that are not UTF-8.  So are blobs and
# their packed values, which have the same representation: they are not parsed one by one.
_OPTIONAL, _REPEATED = 1, 3
_FLOAT, _DOUBLE, _INT64, _INT32, _BOOL, _BYTES = 2, 1, 3, 5, 8, 12
_SIZES = {
    "num": (1, _OPTIONAL, _INT32),
    "channels": (2, _OPTIONAL, _INT32),
    "height": (3, _OPTIONAL, _INT32),
    "width": (4, _OPTIONAL, _INT32),
    "shape": (7, _OPTIONAL, _BYTES),
}
_SCHEMA: dict[str, dict[str, tuple[int, int, int]]] = {
    "Shape": {"dim": (1, _REPEATED, _INT64)},
    "Packed": {**_SIZES, "data": (5, _REPEATED, _BYTES), "double_data": (8, _REPEATED, _BYTES)},
    "Blob": {**_SIZES, "data": (5, _REPEATED, _FLOAT), "double_data": (8, _REPEATED, _DOUBLE)},
    "OldLayer": {
        "oldest": (1, _OPTIONAL, _BYTES),
        "bottom": (2, _REPEATED, _BYTES),
        "top": (3, _REPEATED, _BYTES),
        "name": (4, _OPTIONAL, _BYTES),
        "type": (5, _OPTIONAL, _INT32),
        "blobs": (6, _REPEATED, _BYTES),
    },
    "NewLayer": {
        "name": (1, _OPTIONAL, _BYTES),
        "type": (2, _OPTIONAL, _BYTES),
        "bottom": (3, _REPEATED, _BYTES),
        "top": (4, _REPEATED, _BYTES),
        "blobs": (7, _REPEATED, _BYTES),
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
        for number, wire, length in _fields(file, size, MOST_OBJECTS):
            if number == NAME and wire == BYTES:
                facts["net"] = shown(_text(file.read(min(length, 2**10))))
            if number not in (OLD_LAYER, LAYER) or wire != BYTES:
                continue
            is_any = True
            stored = _parsed(number, file.read(length))
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
                facts["eps"] = f"{stored.eps:g}"
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
        mean = _blob(file.read(LARGEST_MEAN))
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
    return Layer(stored.name, "norm", tensors, _names(stored.name, tensors))


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


def _fields(file: BinaryIO, size: int, at_most: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number, the wire type and the length in bytes of each field of a message.

    The content of a field can be read before the next one is asked for.

    Args:
        file: at the beginning of the message.
        size: of the message in bytes.
        at_most: the largest number of fields.

    Raises:
        Damaged: the content is no message, or has more fields.
    """
    for _ in range(at_most + 1):
        start = file.tell()
        if start == size:
            return
        tag = _varint(file)
        number, wire = tag >> 3, tag & 7
        if wire not in _LENGTHS or not number:
            raise Damaged(f"it is damaged, or not a file of Caffe: byte {start:,} begins no field")
        length = _LENGTHS[wire]
        if wire == VARINT:
            _varint(file)
        elif wire == BYTES:
            length = _varint(file)
        begin = file.tell()
        if length > size - begin:
            raise Damaged(
                f"it is truncated, or not a file of Caffe: the field at byte {start:,} claims "
                f"{length:,} bytes, and {size - begin:,} are left"
            )
        yield number, wire, length
        file.seek(begin + length)
    raise Damaged(f"it has more than {at_most:,} fields, which no net of Caffe has")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise Damaged("it is truncated, or not a file of Caffe: it ends within a number")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise Damaged("it is damaged, or not a file of Caffe: a number has more than ten bytes")


def _parsed(number: int, content: bytes) -> _Stored:
    # The library takes 30 times the memory of a message that consists of empty fields.
    for _ in _fields(BytesIO(content), len(content), MOST_FIELDS):
        pass
    if number == OLD_LAYER:
        layer = _messages()["OldLayer"].FromString(content)
        if layer.HasField("oldest"):
            raise Damaged(
                "it has the layers of Caffe's first format, of 2013",
                "convert it with Caffe's upgrade_net_proto_binary",
            )
        kind = _OLD_TYPES.get(layer.type, f"V1 type {layer.type}")
        is_transposed, eps = False, _DEFAULT_EPS
    else:
        layer = _messages()["NewLayer"].FromString(content)
        kind = _text(layer.type)
        product = _messages()["InnerProduct"].FromString(layer.inner_product_param)
        norm = _messages()["BatchNorm"].FromString(layer.batch_norm_param)
        is_transposed, eps = product.transpose, norm.eps if norm.HasField("eps") else _DEFAULT_EPS
    bottoms, tops = ([_text(name) for name in names] for names in (layer.bottom, layer.top))
    blobs = [_blob(blob) for blob in layer.blobs]
    return _Stored(_text(layer.name), kind, bottoms, tops, blobs, is_transposed, eps)


def _blob(content: bytes) -> Tensor:
    """Return the tensor of a BlobProto."""
    fields = list(islice(_fields(BytesIO(content), len(content), len(content)), MOST_FIELDS + 1))
    is_packed = len(fields) <= MOST_FIELDS and all(
        wire == BYTES for number, wire, _ in fields if number in (5, 8)
    )
    blob = _messages()["Packed" if is_packed else "Blob"].FromString(content)
    shape: list[int] = []
    if blob.HasField("shape"):
        shape = list(_messages()["Shape"].FromString(blob.shape).dim)
    elif any(map(blob.HasField, ("num", "channels", "height", "width"))):
        shape = [blob.num, blob.channels, blob.height, blob.width]
    field, dtype = ("double_data", "<f8") if blob.double_data else ("data", "<f4")
    values = _array(getattr(blob, field), np.dtype(dtype), is_packed=is_packed)
    if min(shape, default=0) < 0 or prod(shape) != len(values) or len(shape) > MOST_DIMENSIONS:
        sizes = f"the shape {shape}" if len(shape) <= MOST_DIMENSIONS else f"{len(shape)} sizes"
        raise Damaged(f"it is damaged: a blob has {sizes} and {len(values):,} values")
    return torch.from_numpy(values).reshape(shape)


def _array(values: Sequence[Any], dtype: np.dtype[Any], *, is_packed: bool) -> NDArray[Any]:
    if not is_packed:
        return np.fromiter(values, dtype, len(values))
    content = b"".join(values)
    if len(content) % dtype.itemsize:
        raise Damaged(f"it is damaged: a blob has {len(content):,} bytes of {dtype.name} values")
    return np.frombuffer(content, dtype).copy()


@cache
def _messages() -> dict[str, Any]:
    """Return the classes of the messages of the schema."""
    descriptors = required("google.protobuf.descriptor_pb2", "protobuf")
    pool = required("google.protobuf.descriptor_pool", "protobuf").DescriptorPool()
    factory = required("google.protobuf.message_factory", "protobuf")
    file = descriptors.FileDescriptorProto(name="netspec_caffe.proto", package="netspec_caffe")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, label, kind) in fields.items():
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
