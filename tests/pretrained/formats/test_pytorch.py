from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netspec import DataError
from netspec.pretrained.formats import read


def module() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


class Executes:
    """An object whose pickle runs a command as it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_becomes_layers(zipped: bool, tmp_path: Path) -> None:
    own = module().state_dict()
    torch.save(own, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    weights = read(tmp_path / "a.pth")
    assert [(layer.name, layer.kind) for layer in weights.layers] == [
        ("0", "conv"), ("1", "norm"), ("3", "fc"),
    ]  # fmt: skip
    assert weights.skipped == ("1.num_batches_tracked",)
    for layer in weights.layers:
        for role, tensor in layer.tensors.items():
            assert torch.equal(tensor, own[f"{layer.name}.{role}"])


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_a_checkpoint_contains_a_state_dict(key: str, tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in module().state_dict().items()}
    torch.save({"epoch": 3, key: state, "optimizer": {"lr": 0.1}}, tmp_path / "a.pth")
    weights = read(tmp_path / "a.pth")
    assert [layer.name for layer in weights.layers] == ["0", "1", "3"]
    assert weights.facts == {"state dict": key}


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_not_run(zipped: bool, tmp_path: Path) -> None:
    for name, content in (
        ("alone", Executes(tmp_path / "ran")),
        ("among", {"a.weight": torch.zeros(3, 3), "b": Executes(tmp_path / "ran")}),
    ):
        path = tmp_path / f"{name}.pth"
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            DataError, match="contains more than tensors; netspec reads a state dict"
        ):
            read(path)
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(module(), tmp_path / "a.pth")
    with pytest.raises(DataError, match="contains more than tensors"):
        read(tmp_path / "a.pth")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "a.pt")
    with pytest.raises(DataError, match="TorchScript program"):
        read(tmp_path / "a.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_named(zipped: bool, tmp_path: Path) -> None:
    torch.save(module().state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "a.pth").read_bytes()
    for cut in (2, 50, len(content) // 2, len(content) - 3):
        (tmp_path / "b.pth").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"cannot read weights from .*b\.pth"):
            read(tmp_path / "b.pth")


def test_a_tensor_that_claims_more_than_its_file_is_refused(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1).expand(100_000, 100_000)}, tmp_path / "a.pth")
    with pytest.raises(DataError, match=r"a\.weight claims \[100000, 100000\]"):
        read(tmp_path / "a.pth")


def test_a_zip_that_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3, 3)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if "data/0" not in name else bytes(2**26))
    with pytest.raises(DataError, match="unpacks to"):
        read(tmp_path / "b.pth")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, "text", torch.zeros(3)])
def test_another_content_is_not_a_state_dict(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(DataError, match="state dict"):
        read(tmp_path / "a.pth")


def test_names_with_control_characters_are_shown_escaped(tmp_path: Path) -> None:
    torch.save({"\x1b[2J/../a.weight": torch.zeros(1).expand(10**6, 10)}, tmp_path / "a.pth")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.pth")
    assert "\x1b" not in str(caught.value)
