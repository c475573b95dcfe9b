"""What cannot be loaded again, or would compute something else then, is not saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

import netspec
from netspec import DataError, loads
from netspec.export import export_onnx, export_pt2, onnx_bytes

NET = loads("""net small
input image 6x6x2
C: conv 3x3, 4 | relu
D: conv 1x1, 3
F: fc 5
""")
X = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))

SAVES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "weights": (netspec.compile, lambda m, path: netspec.save_weights(m, path / "w.safetensors")),
    "of the reference": (
        netspec.reference, lambda m, path: netspec.save_weights(m, path / "w.safetensors"),
    ),
    "of another module": (
        lambda net: nn.ModuleDict({"F": nn.Linear(48, 5)}),
        lambda m, path: netspec.save_weights(m, path / "w.safetensors"),
    ),
    "artifact": (netspec.compile, lambda m, path: netspec.save_artifact(m, path / "a.netspec")),
    "ONNX": (netspec.reference, lambda m, path: export_onnx(m, path / "m.onnx")),
    "ONNX bytes": (netspec.reference, lambda m, path: onnx_bytes(m)),
    "pt2": (netspec.reference, lambda m, path: export_pt2(m, path / "m.pt2")),
}  # fmt: skip


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize(("made", "save"), SAVES.values(), ids=SAVES)
def test_what_is_not_finite_is_not_saved(
    made: Callable[..., Any], save: Callable[..., Any], value: float, tmp_path: Path
) -> None:
    model = made(NET)
    with torch.no_grad():
        model.get_submodule("F").bias[3] = value
    with pytest.raises(DataError, match=r"not finite: F.bias is (NaN|infinite) at \[3\]"):
        save(model, tmp_path)
    assert not list(tmp_path.iterdir())


CHANGES: dict[str, tuple[Callable[..., Any], str, str]] = {
    "pruned": (lambda row: prune.identity(row, "bias"), "bias_orig", r"prune\.remove"),
    "spectral": (spectral_norm, "weight_orig", "remove_spectral_norm"),
    "parametrised": (parametrizations.weight_norm, "original0", "remove_parametrizations"),
    "more": (lambda row: row.add_module("adapter", nn.Linear(2, 2)), "adapter", "del"),
    "less": (lambda row: delattr(row, "bias"), "no F.bias", "undo"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "name", "way_out"), CHANGES.values(), ids=CHANGES)
def test_weights_that_the_net_could_not_load_are_not_saved(
    change: Callable[..., Any], name: str, way_out: str, tmp_path: Path
) -> None:
    model = netspec.reference(NET)
    change(model.F)
    with pytest.raises(DataError, match=rf"weights of small are not saved.*{name}.*{way_out}"):
        netspec.save_weights(model, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_artifact_of_a_net_with_hooks_is_not_written(tmp_path: Path) -> None:
    model = netspec.compile(NET)
    handle = model.register_forward_hook(lambda module, x, y: 2 * y)
    with pytest.raises(DataError, match=r"the model has hooks: remove them \(handle\.remove\(\)"):
        netspec.save_artifact(model, tmp_path / "a.netspec")
    assert not list(tmp_path.iterdir())
    handle.remove()
    del model.C.relu
    with pytest.raises(DataError, match=r"does not call the module C\.relu"):
        netspec.save_artifact(model, tmp_path / "a.netspec")
    assert not list(tmp_path.iterdir())


def test_an_artifact_holds_what_a_parametrisation_computes(tmp_path: Path) -> None:
    model = netspec.compile(NET)
    before = model(X)
    parametrizations.spectral_norm(model.F)
    netspec.save_artifact(model, tmp_path / "a.netspec")
    loaded = netspec.load_artifact(tmp_path / "a.netspec")
    assert torch.equal(loaded(X), model(X))
    assert not torch.allclose(loaded(X), before)
