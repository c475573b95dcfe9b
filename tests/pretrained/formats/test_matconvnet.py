from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from netspec import DataError
from netspec.pretrained.formats import read


def filters(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def simplenn(path: Path, *, old: bool = False) -> dict[str, Any]:
    """Write a net as MatConvNet does: a cell array of structs."""
    conv, fc = filters(3, 5, 1, 4), filters(1, 1, 4, 6)
    weights = np.empty(2, object)
    layers = np.empty(3, object)
    for number, (name, value) in enumerate((("conv1", conv), ("fc2", fc))):
        weights = np.empty(2, object)
        weights[:] = [value, np.arange(value.shape[3], dtype=np.float32)]
        own = {"filters": weights[0], "biases": weights[1]} if old else {"weights": weights}
        layers[2 * number] = {"type": "conv", "name": name, **own}
    layers[1] = {"type": "relu", "name": "relu1"}
    savemat(path, {"layers": layers, "meta": {"x": 1.0}}, do_compression=True)
    return {"conv1": conv, "fc2": fc}


@pytest.mark.parametrize("old", [False, True])
def test_filters_become_kernels_of_pytorch(old: bool, tmp_path: Path) -> None:
    written = simplenn(tmp_path / "a.mat", old=old)
    weights = read(tmp_path / "a.mat")
    assert [(layer.name, layer.kind) for layer in weights.layers] == [
        ("conv1", "conv"),
        ("fc2", "conv"),
    ]
    for layer in weights.layers:
        expected = torch.from_numpy(written[layer.name]).permute(3, 2, 0, 1)
        assert torch.equal(layer.tensors["weight"], expected)
        assert torch.equal(layer.tensors["bias"], torch.arange(len(expected)).float())


def test_a_dagnn_names_its_parameters(tmp_path: Path) -> None:
    conv = filters(3, 3, 2, 4)
    params = np.zeros(2, dtype=[("name", object), ("value", object)])
    params[0] = ("conv1_filter", conv)
    params[1] = ("conv1_bias", np.ones((4, 1), np.float32))
    savemat(tmp_path / "a.mat", {"params": params})
    (layer,) = read(tmp_path / "a.mat").layers
    assert layer.name == "conv1"
    assert torch.equal(layer.tensors["weight"], torch.from_numpy(conv).permute(3, 2, 0, 1))
    assert torch.equal(layer.tensors["bias"], torch.ones(4))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    simplenn(tmp_path / "a.mat")
    content = (tmp_path / "a.mat").read_bytes()
    for cut in (100, 130, 200, len(content) - 5):
        (tmp_path / "b.mat").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"b\.mat"):
            read(tmp_path / "b.mat")


def test_a_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"x": np.zeros(2**25)}, do_compression=True)
    assert (tmp_path / "a.mat").stat().st_size < 2**20
    with pytest.raises(DataError, match="unpacks to more than a net has"):
        read(tmp_path / "a.mat")


def test_another_content_is_not_a_net(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"x": np.zeros(3)})
    with pytest.raises(DataError, match="does not contain a net of MatConvNet"):
        read(tmp_path / "a.mat")
