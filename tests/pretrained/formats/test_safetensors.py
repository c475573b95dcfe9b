from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import netspec
from netspec import DataError
from netspec.pretrained.formats import read
from tests.pretrained.formats.helpers import within


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    layers = [layer for _ in range(6) for layer in (nn.Conv2d(3, 3, 3), nn.ReLU())]
    module = nn.Sequential(*layers, nn.BatchNorm2d(3))
    return {f"features.{name}": tensor for name, tensor in module.state_dict().items()}


def raw(path: Path, entries: Any, data: bytes = b"") -> Path:
    content = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content + data)
    return path


def test_layers_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "a.safetensors", metadata={"format": "pt"})
    weights = read(tmp_path / "a.safetensors")
    assert [layer.name for layer in weights.layers] == [
        f"features.{number}" for number in (0, 2, 4, 6, 8, 10, 12)
    ]
    assert weights.skipped == ("features.12.num_batches_tracked",)
    for layer in weights.layers:
        for role, tensor in layer.tensors.items():
            assert torch.equal(tensor, state()[layer.names[role]])
    assert (weights.format, weights.is_ordered, weights.facts) == ("safetensors", False, {})


def test_types_stay(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        save_file({"a.weight": torch.ones(2, 3, dtype=dtype)}, tmp_path / "a.safetensors")
        (layer,) = read(tmp_path / "a.safetensors").layers
        assert layer.tensors["weight"].dtype == dtype


def test_a_file_of_netspec_is_read(tmp_path: Path) -> None:
    net = netspec.loads("net a\ninput image 8x8x3\nC1: conv 3x3, 4 | relu\nF2: fc 5 | softmax\n")
    model = netspec.compile(net)
    netspec.save_weights(model, tmp_path / "a.safetensors")
    weights = read(tmp_path / "a.safetensors")
    assert [(layer.name, layer.kind) for layer in weights.layers] == [("C1", "conv"), ("F2", "fc")]
    assert weights.facts == {"producer": "netspec"}


def test_a_link_is_followed_as_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    save_file({"a.weight": torch.ones(2, 3)}, tmp_path / "blob")
    (tmp_path / "a.safetensors").symlink_to(tmp_path / "blob")
    assert [layer.name for layer in read(tmp_path / "a.safetensors").layers] == ["a"]


def test_a_weight_that_is_parametrised_is_refused(tmp_path: Path) -> None:
    names = ("a.weight_orig", "a.weight_u", "a.weight_v")
    save_file({name: torch.ones(2, 3) for name in names}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=r"a\.safetensors: the weight of its layer a is param"):
        read(tmp_path / "a.safetensors")


def test_truncated_files_are_named(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    for cut in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "b.safetensors").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"cannot read weights from .*b\.safetensors"):
            read(tmp_path / "b.safetensors")


def test_claimed_sizes_are_compared_with_the_file(tmp_path: Path) -> None:
    large = {"dtype": "F32", "shape": [50_000, 50_000], "data_offsets": [0, 10**10]}
    path = raw(tmp_path / "a.safetensors", {"a.weight": large}, bytes(100))
    assert "its header describes 10,0" in within(path, "safetensors")


def test_names_are_escaped_and_not_followed(tmp_path: Path) -> None:
    name = "../../\x1b[2Jetc.weight"
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    (layer,) = read(raw(tmp_path / "a.safetensors", {name: entry}, bytes(8))).layers
    assert layer.names == {"weight": name}
    bad = {name: {**entry, "data_offsets": [4, 12]}}
    with pytest.raises(DataError) as caught:
        read(raw(tmp_path / "a.safetensors", bad, bytes(12)))
    assert "\x1b" not in str(caught.value)
