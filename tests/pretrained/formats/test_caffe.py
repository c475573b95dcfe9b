from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from netspec import DataError
from netspec.pretrained.formats.caffe import read, read_mean
from netspec.pretrained.layers import Layer, Weights
from tests.pretrained.formats.helpers import within

# An encoder of its own: the messages as the documentation of protobuf describes them.


def varint(value: int) -> bytes:
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def field(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def values_of(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def blob(tensor: Tensor) -> bytes:
    shape = field(7, field(1, b"".join(map(varint, tensor.shape))))
    return shape + field(8 if tensor.dtype == torch.float64 else 5, values_of(tensor))


def old_blob(tensor: Tensor) -> bytes:
    sizes = [1] * (4 - tensor.dim()) + list(tensor.shape)
    return b"".join(map(whole, (1, 2, 3, 4), sizes)) + field(5, values_of(tensor))


def unpacked(tensor: Tensor) -> bytes:
    shape = field(7, b"".join(whole(1, size) for size in tensor.shape))
    return shape + b"".join(b"\x2d" + struct.pack("<f", value) for value in tensor.flatten())


def layer(
    name: str | bytes,
    type: str,
    *blobs: bytes,
    bottom: Sequence[str] = (),
    top: Sequence[str] = (),
    more: bytes = b"",
) -> bytes:
    names = b"".join(field(3, name) for name in bottom) + b"".join(field(4, name) for name in top)
    content = field(1, name) + field(2, type) + names + b"".join(field(7, b) for b in blobs) + more
    return field(100, content)


def old_layer(name: str, type: int, *blobs: bytes) -> bytes:
    return field(2, field(4, name) + whole(5, type) + b"".join(field(6, b) for b in blobs))


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    drawn = torch.Generator().manual_seed(prod(shape))
    return torch.randn(shape, generator=drawn, dtype=dtype)


def wrote(folder: Path, *parts: bytes) -> Path:
    path = folder / "a.caffemodel"
    path.write_bytes(b"".join(parts))
    return path


def layers_of(folder: Path, *parts: bytes) -> dict[str, Layer]:
    return {layer.name: layer for layer in read(wrote(folder, *parts)).layers}


def assert_has(layer: Layer, kind: str, **tensors: Tensor) -> None:
    assert layer.kind == kind
    assert layer.tensors.keys() == tensors.keys() == layer.names.keys()
    for role, tensor in tensors.items():
        assert layer.tensors[role].dtype == tensor.dtype
        assert torch.equal(layer.tensors[role], tensor), role


NET = field(1, "CaffeNet") + field(3, "data") + b"".join(whole(4, size) for size in (1, 3, 9, 9))


def test_layers_of_a_new_file(tmp_path: Path) -> None:
    conv, bias, fc = random(6, 2, 3, 5), random(6), random(4, 12)
    path = wrote(
        tmp_path,
        NET,
        layer("data", "Input", top=["data"]),
        layer("conv1/3x5", "Convolution", blob(conv), blob(bias), more=field(106, whole(5, 2))),
        layer("relu", "ReLU", more=b"\x35abcd\x39abcdefgh"),
        layer("up", "Deconvolution", blob(random(6, 3, 2, 2))),
        layer("fc6", "InnerProduct", blob(fc), blob(random(4))),
        layer("prelu", "PReLU", blob(random(4))),
        layer("odd", "LSTM", blob(random(4)), blob(random(5)), blob(random(2, 3))),
    )
    weights = read(path)
    assert (weights.path, weights.format, weights.is_ordered) == (path, "caffe", True)
    assert weights.facts == {"net": "CaffeNet"}
    first, up, product, prelu, odd = weights.layers
    assert first.name == "conv1/3x5"
    assert_has(first, "conv", weight=conv, bias=bias)
    assert first.names == {"weight": "conv1/3x5[0]", "bias": "conv1/3x5[1]"}
    assert_has(up, "deconv", weight=random(6, 3, 2, 2))
    assert_has(product, "fc", weight=fc, bias=random(4))
    assert product.flattened == "chw"
    assert_has(prelu, "other", weight=random(4))
    assert (odd.kind, list(odd.tensors)) == ("other", ["0", "1", "2"])


def test_layers_of_an_old_file(tmp_path: Path) -> None:
    conv, fc, bias = random(6, 2, 3, 3), random(4, 12), random(4)
    layers = layers_of(
        tmp_path,
        old_layer("data", 5),
        old_layer("conv1_1", 4, old_blob(conv), old_blob(random(6))),
        old_layer("split", 22),
        old_layer("fc6", 14, old_blob(fc), old_blob(bias)),
        old_layer("up", 39, old_blob(random(3, 2, 4, 4))),
    )
    assert list(layers) == ["conv1_1", "fc6", "up"]
    assert_has(layers["conv1_1"], "conv", weight=conv, bias=random(6))
    assert_has(layers["fc6"], "fc", weight=fc, bias=bias)
    assert_has(layers["up"], "deconv", weight=random(3, 2, 4, 4))


def test_blobs_in_all_their_representations(tmp_path: Path) -> None:
    wide, plain = random(3, 4, dtype=torch.float64), random(2, 3)
    pieces = values_of(plain)
    split = field(7, field(1, b"\x02\x03")) + field(5, pieces[:8]) + field(5, pieces[8:])
    layers = layers_of(
        tmp_path,
        layer("wide", "InnerProduct", blob(wide)),
        layer("unpacked", "InnerProduct", unpacked(plain)),
        layer("split", "InnerProduct", split),
        layer("transposed", "InnerProduct", blob(plain), more=field(117, whole(6, 1))),
        layer("signal", "Convolution", blob(random(4, 2, 3))),
    )
    assert_has(layers["wide"], "fc", weight=wide)
    assert_has(layers["unpacked"], "fc", weight=plain)
    assert_has(layers["split"], "fc", weight=plain)
    assert_has(layers["transposed"], "fc", weight=plain.t())
    assert_has(layers["signal"], "other", weight=random(4, 2, 3))


def norm(name: str, bottom: str, top: str, count: float = 4.0) -> bytes:
    blobs = [blob(random(3)), blob(random(3).abs()), blob(torch.tensor([count]))]
    eps = field(139, b"\x1d" + struct.pack("<f", 1e-3))
    return layer(name, "BatchNorm", *blobs, bottom=[bottom], top=[top], more=eps)


def scale(name: str, bottom: str, top: str) -> bytes:
    return layer(
        name, "Scale", blob(random(3) + 1), blob(random(3) - 1), bottom=[bottom], top=[top]
    )


@pytest.mark.parametrize("top", ["conv1", "bn1"])
def test_a_normalisation_and_its_scale_are_one_layer(tmp_path: Path, top: str) -> None:
    path = wrote(tmp_path, norm("bn1", "conv1", top), scale("scale1", top, top))
    (merged,) = read(path).layers
    assert merged.name == "bn1"
    assert_has(
        merged,
        "norm",
        weight=random(3) + 1,
        bias=random(3) - 1,
        running_mean=random(3) / 4,
        running_var=random(3).abs() / 4,
    )
    assert merged.names["weight"] == "scale1[0]"
    assert merged.names["running_var"] == "bn1[1]"
    assert merged.eps == pytest.approx(1e-3)


def test_a_scale_of_something_else_is_a_layer_of_its_own(tmp_path: Path) -> None:
    between = layer("relu", "ReLU", bottom=["x"], top=["x"])
    layers = layers_of(tmp_path, norm("bn", "x", "x"), between, scale("scale", "x", "x"))
    assert_has(layers["scale"], "other", weight=random(3) + 1, bias=random(3) - 1)
    assert list(layers["bn"].tensors) == ["running_mean", "running_var"]
    layers = layers_of(tmp_path, norm("bn", "x", "y"), scale("scale", "x", "z"))
    assert layers.keys() == {"bn", "scale"}


def test_statistics_without_a_count_are_zero_as_in_caffe(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, norm("bn", "x", "x", count=0.0))
    assert_has(layers["bn"], "norm", running_mean=torch.zeros(3), running_var=torch.zeros(3))


def test_a_mean_image(tmp_path: Path) -> None:
    path = tmp_path / "mean.binaryproto"
    for encode in (blob, old_blob):
        path.write_bytes(encode(random(1, 3, 4, 5)))
        mean = read_mean(path)
        assert (mean.shape, mean.dtype) == ((4, 5, 3), np.float64)
        assert mean[2, 4, 1] == random(1, 3, 4, 5)[0, 1, 2, 4].item()
    path.write_bytes(blob(random(2, 3, 4, 5)))
    with pytest.raises(DataError, match=r"mean.binaryproto: it is not a mean image: its shape"):
        read_mean(path)
    path.write_bytes(blob(random(3, 4, 5))[:-1])
    with pytest.raises(DataError, match=r"mean.binaryproto: it is truncated"):
        read_mean(path)


# ------------------------------------------------------------------------------- files to distrust

GOOD = NET + layer("conv1", "Convolution", blob(random(4, 3, 3, 3)), blob(random(4)))


def refused(folder: Path, *parts: bytes) -> str:
    path = wrote(folder, *parts)
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"cannot read weights from {path}: ")
    assert message.endswith(("published one", "BINARYPROTO", "upgrade_net_proto_binary"))
    assert message.isprintable()
    return message


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    begin = len(NET)
    for length in (begin + 1, begin + 2, begin + 5, len(GOOD) // 2, len(GOOD) - 1):
        assert "truncated" in refused(tmp_path, GOOD[:length])
    for length in range(begin):
        refused(tmp_path, GOOD[:length])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no layers"),
        (b"name: 'AlexNet'\nlayer {\n", "begins no field"),
        (b"PK\x03\x04" + bytes(60), "not a file of Caffe"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "BINARYPROTO"),
        (b"\xff" * 64, "more than ten bytes"),
        (varint(100 << 3 | 2) + varint(10 * 2**30) + b"abc", r"claims 10,737,418,240 bytes, and 3"),
        (b"\x0b" * 10_000, "begins no field"),
        (field(2, field(1, field(1, "conv1"))), "upgrade_net_proto_binary"),
        (layer("c", "Convolution", field(7, field(1, b"\x02"))), r"the shape \[2\] and 0 values"),
        (layer("c", "Convolution", field(5, b"abc")), "3 bytes of float32"),
        (layer("c", "X", field(7, field(1, b"\xff" * 9 + b"\x01")) + field(5, bytes(4))), "[-1]"),
        (layer("c", "X", field(7, field(1, b"\x01" * 65)) + field(5, bytes(4))), "65 sizes"),
        (layer("c", "X", field(7, field(1, b"\x02" * 30)) + field(5, bytes(4))), "and 1 values"),
        (layer("c", "X", field(7, field(1, b"\x00" + varint(2**39) * 2))), "and 0 values"),
        (layer("c", "X", *[field(5, bytes(4))] * 1000), "more than 1,000 fields"),
        (layer("c", "InnerProduct", blob(random(2, 3, 1, 4))), r"the shape \[2, 3, 1, 4\]"),
        (layer("c", "BatchNorm", blob(random(2))), "not a BatchNorm"),
        (layer("c", "Convolution", *[blob(random(2, 1, 1, 1))] * 3), "3 blobs"),
        (GOOD + GOOD, "two layers have the name conv1"),
        (layer("c", "X", field(7, b"\x0b" * 1000)), "is damaged"),
    ],
)  # fmt: skip
def test_what_is_not_a_caffemodel_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    assert re.search(reason.replace("[-1]", r"\[-1\]"), refused(tmp_path, content))


def test_names_are_shown_escaped(tmp_path: Path) -> None:
    for name in (b"\x1b[2J", b"\xff\x00", b"a\nb"):
        double = layer(name, "PReLU", blob(random(2))) * 2
        assert "two layers have the name" in refused(tmp_path, double)
    (one,) = read(wrote(tmp_path, layer("../../etc/x", "PReLU", blob(random(2))))).layers
    assert one.name == "../../etc/x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (field(100, b"") * 3_000_000, "more than 100,000 fields"),
        (field(100, field(7, b"") * 3_000_000), "more than 1,000 fields"),
        (field(100, field(7, field(5, b"") * 3_000_000)), "and 0 values"),
        (field(100, b"\x0b" * 3_000_000), "begins no field"),
        (field(100, field(7, field(7, b"\x0b" * 3_000_000))), "is damaged"),
    ],
    ids=["layers", "blobs", "values", "groups", "deep groups"],
)
def test_bombs_take_little_memory(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in within(wrote(tmp_path, content), "caffe", 2**26)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match="it is not a plain file"):
        read(tmp_path)


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link.caffemodel"
    link.symlink_to(wrote(tmp_path, GOOD))
    weights: Weights = read(link)
    assert [layer.name for layer in weights.layers] == ["conv1"]
