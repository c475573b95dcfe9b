from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import netspec
from netspec import DataError


def test_weights_come_back_as_they_went(tmp_path: Path) -> None:
    model = netspec.compile("googlenet", seed=1)
    netspec.save_weights(model, tmp_path / "w.safetensors")
    other = netspec.compile("googlenet", seed=2)
    netspec.load_weights(other, tmp_path / "w.safetensors")
    mine, theirs = model.state_dict(), other.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_other_names_and_shapes_are_all_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    model = netspec.compile("lenet5")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tensors = {name: tensor.contiguous() + 1 for name, tensor in before.items()}
    tensors["C9.weight"] = tensors.pop("C1.weight")
    tensors["F6.bias"] = torch.zeros(7)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(DataError) as caught:
        netspec.load_weights(model, tmp_path / "w.safetensors")
    assert "missing: C1.weight" in str(caught.value)
    assert "not in the net: C9.weight" in str(caught.value)
    assert "F6.bias: [7] in the file, [84] in the net" in str(caught.value)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x80\x04pickle", b"\xff" * 4096])
def test_a_file_that_holds_no_tensors_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"w\.safetensors"):
        netspec.load_weights(netspec.compile("lenet5"), path)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    netspec.save_weights(netspec.compile("lenet5"), path)
    whole = path.read_bytes()
    for length in (7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"w\.safetensors"):
            netspec.load_weights(netspec.compile("lenet5"), path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            netspec.load_weights(netspec.compile("lenet5"), path)


def test_a_nan_that_damage_made_is_reported_as_damage(tmp_path: Path) -> None:
    model, path = netspec.compile("lenet5"), tmp_path / "w.safetensors"
    netspec.save_weights(model, path)
    path.write_bytes(path.read_bytes()[:-4] + b"\xff" * 4)
    with pytest.raises(DataError, match=r"is damaged: its digest is not that of its content"):
        netspec.load_weights(model, path)


def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    netspec.save_weights(netspec.compile("lenet5"), path)
    old = path.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netspec.runtime.weights.write_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        netspec.save_weights(netspec.compile("lenet5"), path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_a_file_of_another_kind_is_replaced_by_force_only(tmp_path: Path) -> None:
    path, model = tmp_path / "mine", netspec.compile("lenet5")
    path.write_text("net mine\n")
    with pytest.raises(DataError, match="the existing file is a spec, not a safetensors file: "):
        netspec.save_weights(model, path)
    assert path.read_text() == "net mine\n"
    with pytest.raises(DataError, match=r"\.pth is the suffix of a pickle"):
        netspec.save_weights(model, tmp_path / "w.pth")
    netspec.save_weights(model, path, force=True)
    netspec.load_weights(model, path)
    assert os.listdir(tmp_path) == ["mine"]


def test_weights_that_are_no_floating_point_numbers_are_refused(tmp_path: Path) -> None:
    model = netspec.compile("lenet5")
    whole = {name: tensor.contiguous().int() for name, tensor in model.state_dict().items()}
    save_file(whole, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"C1.weight: torch.int32 in the file"):
        netspec.load_weights(model, tmp_path / "w.safetensors")


def test_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "w.safetensors"):
        with pytest.raises(DataError, match="cannot write weights"):
            netspec.save_weights(netspec.compile("lenet5"), path)
    assert os.listdir(tmp_path) == []
    assert not [p for p in tmp_path.parent.iterdir() if p.name.startswith(f".{tmp_path.name}")]


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "NaN"), (-float("inf"), "infinite")])
def test_a_value_that_is_not_finite_is_named_and_nothing_is_loaded(
    value: float, kind: str, tmp_path: Path
) -> None:
    tensors = netspec.compile("lenet5", seed=1).state_dict()
    tensors["C3.weight"].view(-1)[27:] = value
    path = tmp_path / "w.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    count = tensors["C3.weight"].numel()
    message = (
        rf"the weights in \S*w\.safetensors are not finite: C3\.weight is {kind} at "
        rf"\[1, 0, 2\], and {count - 27:,} of its {count:,} values are NaN or infinite; use weights"
    )
    for model in (netspec.compile("lenet5", seed=2), netspec.reference("lenet5", seed=2)):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(DataError, match=message):
            netspec.load_weights(model, path)
        assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
