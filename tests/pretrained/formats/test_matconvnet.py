from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.io import savemat

from netspec import DataError
from netspec.pretrained.formats.matconvnet import read
from netspec.pretrained.layers import Layer
from tests.pretrained.formats.helpers import within


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def cell(*values: Any) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def structs(*rows: dict[str, Any]) -> Any:
    """Return a struct array, all of whose elements have the same fields."""
    array = np.empty(len(rows), [(name, object) for name in rows[0]])
    for place, row in enumerate(rows):
        array[place] = tuple(row.values())
    return array


def simplenn(path: Path, *layers: dict[str, Any], compressed: bool = True, **others: Any) -> Path:
    """Write a net as MatConvNet does: a cell array of structs."""
    savemat(path, {"layers": cell(*layers), **others}, do_compression=compressed)
    return path


CONV, FC = random(3, 5, 2, 4), random(6, 6, 4, 7)


def by_name(path: Path) -> dict[str, Layer]:
    return {layer.name: layer for layer in read(path).layers}


@pytest.mark.parametrize("is_old", [False, True])
def test_filters_become_kernels_of_pytorch(is_old: bool, tmp_path: Path) -> None:
    def trained(name: str, filters: Any) -> dict[str, Any]:
        biases = random(1, filters.shape[3])
        parts = (
            {"filters": filters, "biases": biases} if is_old else {"weights": cell(filters, biases)}
        )
        return {"type": "conv", "name": name, **parts, "stride": 1.0, "pad": [0.0, 1.0, 0.0, 1.0]}

    path = simplenn(
        tmp_path / "a.mat",
        trained("conv1", CONV),
        {"type": "relu", "name": "relu1"},
        trained("fc6", FC),
        {"type": "softmax", "name": "prob", "weights": cell()},
    )
    weights = read(path)
    assert (weights.format, weights.is_ordered, weights.facts) == ("matconvnet", True, {})
    conv, fc = weights.layers
    assert [(layer.name, layer.kind) for layer in weights.layers] == [
        ("conv1", "conv"),
        ("fc6", "conv"),
    ]
    assert fc.tensors["weight"].shape == (7, 4, 6, 6)
    assert torch.equal(conv.tensors["bias"], torch.from_numpy(random(1, 4)).flatten())
    assert conv.names == {"weight": "conv1.weights{1}", "bias": "conv1.weights{2}"}
    # on a map of the size of the kernel, a filter computes the sum of all products
    x = random(3, 5, 2)
    image = torch.from_numpy(x).permute(2, 0, 1)[None]
    computed = F.conv2d(image, conv.tensors["weight"]).flatten()
    expected = torch.from_numpy(np.einsum("hwi,hwio->o", x, CONV))
    torch.testing.assert_close(computed, expected, rtol=1e-5, atol=1e-5)


def test_last_sizes_of_one_and_deconvolutions(tmp_path: Path) -> None:
    up = random(2, 3, 5, 4)
    path = simplenn(
        tmp_path / "a.mat",
        {"type": "conv", "name": "one", "weights": cell(CONV[:, :, :, 0], np.float32(3))},
        {"type": "conv", "name": "flat", "weights": cell(CONV[:, :, 0, 0], [])},
        {"type": "convt", "name": "up", "weights": cell(up, random(5))},
        {"type": "custom", "name": "other", "weights": cell(random(2, 3), random(4), random(5))},
    )
    layers = by_name(path)
    assert torch.equal(
        layers["one"].tensors["weight"][0], torch.from_numpy(CONV[..., 0]).permute(2, 0, 1)
    )
    assert layers["one"].tensors["bias"].tolist() == [3]
    assert layers["flat"].tensors.keys() == {"weight"}
    assert torch.equal(layers["flat"].tensors["weight"][0, 0], torch.from_numpy(CONV[..., 0, 0]))
    assert layers["up"].kind == "deconv"
    value = random(4)
    spread = F.conv_transpose2d(
        torch.from_numpy(value).reshape(1, 4, 1, 1), layers["up"].tensors["weight"]
    )
    expected = torch.from_numpy(np.einsum("i,hwoi->ohw", value, up))
    torch.testing.assert_close(spread[0], expected, rtol=1e-5, atol=1e-5)
    assert (layers["other"].kind, list(layers["other"].tensors)) == ("other", ["0", "1", "2"])


def norm_of(x: Any, mult: Any, bias: Any, moments: Any) -> Any:
    """Return what vl_nnbnorm computes of a value per channel: sigma includes epsilon."""
    return mult * (x - moments[:, 0]) / moments[:, 1] + bias


@pytest.mark.parametrize("is_dag", [False, True])
def test_moments_become_a_mean_and_a_variance(is_dag: bool, tmp_path: Path) -> None:
    eps, sigma = 1e-3, np.sqrt(random(4) ** 2 + 1e-3).astype(np.float32)
    moments = np.stack([random(4), sigma], axis=1)
    values = [random(4, 1), random(4, 1) + 1, moments]
    path = tmp_path / "a.mat"
    if is_dag:
        names = ["bn_mult", "bn_bias", "bn_moments"]
        block = {"epsilon": eps}
        layer = {"name": "bn", "type": "dagnn.BatchNorm", "params": cell(*names), "block": block}
        params = [{"name": n, "value": v} for n, v in zip(names, values, strict=True)]
        savemat(path, {"layers": structs(layer), "params": structs(*params)})
    else:
        simplenn(path, {"type": "bnorm", "name": "bn", "weights": cell(*values), "epsilon": eps})
    (norm,) = read(path).layers
    assert norm.kind == "norm"
    assert norm.eps == pytest.approx(1e-3)
    computed = F.batch_norm(
        torch.from_numpy(random(4) + 2)[None],
        norm.tensors["running_mean"], norm.tensors["running_var"],
        norm.tensors["weight"], norm.tensors["bias"], eps=eps,
    )  # fmt: skip
    expected = norm_of(random(4) + 2, values[0][:, 0], values[1][:, 0], moments)
    # sigma**2 - eps loses up to eps / variance of 24 bits, and variances here are above eps
    torch.testing.assert_close(computed[0], torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


def dagnn(path: Path, layers: Sequence[dict[str, Any]], params: dict[str, Any]) -> Path:
    rows = [{"name": name, "value": value} for name, value in params.items()]
    content: dict[str, Any] = {"params": structs(*rows)}
    if layers:
        content["layers"] = structs(*layers)
    savemat(path, content, do_compression=True)
    return path


def test_a_dagnn_lists_its_layers(tmp_path: Path) -> None:
    layers = [
        {"name": "b/3x3", "type": "dagnn.Conv", "params": cell("b_f", "b_b")},
        {"name": "relu", "type": "dagnn.ReLU", "params": cell()},
        {"name": "a", "type": "dagnn.ConvTranspose", "params": cell("a_f")},
    ]
    params = {"a_f": random(2, 3, 5, 4), "b_b": random(4, 1), "b_f": CONV}
    weights = read(dagnn(tmp_path / "a.mat", layers, params))
    assert not weights.is_ordered
    assert [(layer.name, layer.kind) for layer in weights.layers] == [
        ("b/3x3", "conv"),
        ("a", "deconv"),
    ]
    assert weights.layers[0].names == {"weight": "b_f", "bias": "b_b"}
    assert torch.equal(
        weights.layers[0].tensors["weight"], torch.from_numpy(CONV).permute(3, 2, 0, 1)
    )
    with pytest.raises(DataError, match="incomplete: a_f is missing"):
        read(dagnn(tmp_path / "a.mat", layers, {"b_b": random(4, 1), "b_f": CONV}))


def test_a_dagnn_without_a_list_of_layers_has_names_with_endings(tmp_path: Path) -> None:
    moments = np.abs(random(4, 2)) + 1
    params = {
        "conv1_filter": CONV, "conv1_bias": random(4, 1), "conv2f": CONV, "conv2b": random(4, 1),
        "bn1_mult": random(4, 1), "bn1_bias": random(4, 1), "bn1_moments": moments,
        "free_filter": CONV,
    }  # fmt: skip
    layers = by_name(dagnn(tmp_path / "a.mat", [], params))
    assert {name: (layer.kind, len(layer.tensors)) for name, layer in layers.items()} == {
        "conv1": ("conv", 2), "conv2": ("conv", 2), "bn1": ("norm", 4), "free": ("conv", 1),
    }  # fmt: skip


def test_a_net_in_a_variable_and_its_mean_image(tmp_path: Path) -> None:
    layer = {"type": "conv", "name": "c", "weights": cell(CONV, random(4))}
    image = np.ones((3, 2, 3), np.float32) * [122.5, 116.25, 104]
    meta = {"normalization": {"averageImage": image}}
    savemat(tmp_path / "a.mat", {"net": {"layers": cell(layer), "meta": meta}})
    assert read(tmp_path / "a.mat").facts == {"averageImage": "122.5 116.25 104"}
    path = simplenn(
        tmp_path / "b.mat", layer, normalization={"averageImage": [[1.0], [2.0], [3.0]]}
    )
    assert read(path).facts == {"averageImage": "1 2 3"}


# ------------------------------------------------------------------------------- files to distrust


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"cannot read weights from {path}: ")
    assert "; " in message
    assert message.isprintable()
    return message


LAYER = {"type": "conv", "name": "conv1", "weights": cell(CONV, random(4))}


@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_files_are_refused(compressed: bool, tmp_path: Path) -> None:
    content = simplenn(tmp_path / "a.mat", LAYER, compressed=compressed).read_bytes()
    path = tmp_path / "b.mat"
    for length in (0, 100, 128, 130, 136, 200, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:length])
        refused(path)


def header(version: int = 0x100, order: bytes = b"IM") -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", version) + order


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def array(kind: int, sizes: Sequence[int], *parts: bytes, name: bytes = b"layers") -> bytes:
    """Return an array of a class: 1 is a cell, 2 a struct, 7 float32."""
    flags = element(6, struct.pack("<II", kind, 0))
    shape = element(5, struct.pack(f"<{len(sizes)}I", *sizes))
    return element(14, flags + shape + element(1, name) + b"".join(parts))


def nested(depth: int) -> bytes:
    content = array(7, (0, 0), element(7, b""))
    for _ in range(depth):
        content = array(1, (1, 1), content)
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (header() + array(1, (2**30, 1)), "0 of 1,073,741,824 arrays"),
        (
            header() + array(1, (2**16, 2**16), array(7, (0, 0), element(7, b""))),
            "1 of 4,294,967,296 arrays",
        ),
        (header() + array(7, (2**30, 4), element(7, bytes(8))), "has 8 bytes of float32"),
        (header() + array(7, (0, *[2**31] * 8), element(7, b"")), "has 0 bytes of float32"),
        (header() + array(7, (1, 1), element(7, bytes(5))), "has 5 bytes of float32"),
        (header() + array(7, (1, 1), element(70, bytes(4))), "has values of the type 70"),
        (header() + struct.pack("<II", 14, 2**31) + bytes(100), "claims more bytes than the file"),
        (header() + element(14, struct.pack("<II", 6, 2**31)), "claims more bytes than it has"),
        (header() + nested(5_000), "deeper ones"),
        (header() + array(1, (200_000, 1), element(14, b"") * 200_000), "more arrays"),
        (header() + element(15, zlib.compress(element(14, bytes(2**26)))), "unpacks to more"),
        (header() + element(15, b"no zlib"), "is damaged"),
    ],
    ids=[
        "cells", "squares", "numbers", "product", "part of a number", "type", "file", "part",
        "deep", "many", "zlib", "no zlib",
    ],
)  # fmt: skip
def test_bombs_take_little_memory(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    assert said in within(path, "matconvnet", 2**27)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"MATLAB 7.3 MAT-file".ljust(128), "save it in MATLAB with save"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "save it in MATLAB with save"),
        (b"PK\x03\x04" + bytes(200), "not a .mat file"),
        (header(order=b"xx"), "not a .mat file"),
        (header(), "does not contain a net"),
    ],
)
def test_other_files_are_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    assert said in refused(path)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([LAYER, LAYER], "two of its layers have the same name"),
        ([{**LAYER, "weights": cell("text", random(4))}], "conv1 does not contain numbers"),
        ([{**LAYER, "name": "\x1b[2J", "weights": cell({"a": 1})}], "does not contain numbers"),
        ([{**LAYER, "weights": cell(CONV, random(3))}], "conv1 has 4 filters and 3 biases"),
        ([{"type": "bnorm", "name": "b", "weights": cell(*[random(4)] * 3)}], "moments of b are"),
        ([{"type": "relu", "name": "r"}], "does not contain a net"),
    ],
)  # fmt: skip
def test_nets_that_are_none_are_refused(
    layers: Sequence[dict[str, Any]], said: str, tmp_path: Path
) -> None:
    assert said in refused(simplenn(tmp_path / "a.mat", *layers))
    savemat(tmp_path / "b.mat", {"x": np.zeros(3)})
    assert "does not contain a net" in refused(tmp_path / "b.mat")
