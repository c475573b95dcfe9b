from __future__ import annotations

import argparse
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netspec import DataError
from netspec.pretrained.formats import read
from netspec.pretrained.formats.pytorch import LARGEST_DIRECTORY
from tests.pretrained.formats.helpers import within

BOTH = pytest.mark.parametrize("zipped", [True, False])


def module() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def saved(content: Any, path: Path, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def names(path: Path) -> list[str]:
    return [layer.name for layer in read(path).layers]


class Executes:
    """An object whose pickle runs a command as it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


# ------------------------------------------------------------------------------------- real files


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_values_are_those_that_pytorch_reads(
    zipped: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    net = module().to(dtype)
    own = net.state_dict()
    own["3.weight"] = torch.randn(4, 2, dtype=dtype).t()  # with strides
    own["0.weight"] = own["0.weight"].to(memory_format=torch.channels_last)
    path = saved(own, tmp_path / "a.pth", zipped=zipped)
    weights = read(path)
    assert [(layer.name, layer.kind) for layer in weights.layers] == [
        ("0", "conv"), ("1", "norm"), ("3", "fc"),
    ]  # fmt: skip
    assert weights.skipped == ("1.num_batches_tracked",)
    expected = torch.load(path, weights_only=True)
    for layer in weights.layers:
        for role, tensor in layer.tensors.items():
            assert tensor.dtype == dtype
            assert torch.equal(tensor, expected[layer.names[role]])


def test_types_that_have_no_storage_of_their_own_are_read(tmp_path: Path) -> None:
    own = torch.arange(6.0).reshape(2, 3).to(torch.float8_e4m3fn)
    (layer,) = read(saved({"a.weight": own}, tmp_path / "a.pth")).layers
    assert layer.tensors["weight"].dtype == torch.float8_e4m3fn
    assert torch.equal(layer.tensors["weight"].float(), own.float())


def test_a_file_without_digests_is_read(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(module().state_dict(), tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    assert names(path) == ["0", "1", "3"]


@BOTH
def test_parameters_that_are_shared_share_memory(zipped: bool, tmp_path: Path) -> None:
    shared = nn.Parameter(torch.randn(6, 2))
    content = {"a.weight": shared, "b.weight": shared, "c.weight": shared.detach()[2:5]}
    a, b, c = read(saved(content, tmp_path / "a.pth", zipped=zipped)).layers
    assert a.tensors["weight"].data_ptr() == b.tensors["weight"].data_ptr()
    assert torch.equal(c.tensors["weight"], shared.detach()[2:5])


@BOTH
def test_only_what_the_state_dict_needs_is_read(zipped: bool, tmp_path: Path) -> None:
    net = module()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3, 3, 3).expand(2, 3, 3, 3)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 3, "best": torch.tensor(0.7), "loss": np.float64(1.5), "seen": {1, 2},
        "args": argparse.Namespace(lr=0.1), "optimizer": optimizer.state_dict(),
        "state_dict": {f"module.{k}": v for k, v in net.state_dict().items()},
        "state_dict_ema": net.state_dict(),
    }  # fmt: skip
    weights = read(saved(content, tmp_path / "a.pth", zipped=zipped))
    assert [layer.name for layer in weights.layers] == ["0", "1", "3"]
    assert weights.facts == {"state dict": "state_dict", "not read": "state_dict_ema"}
    assert torch.equal(weights.layers[0].tensors["weight"], net.state_dict()["0.weight"])


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"model": {"a.weight": torch.ones(2, 2)}}, "model"),
        ({"model_state_dict": {"a.weight": torch.ones(2, 2)}}, "model_state_dict"),
        ({"epoch": 1, "model_ema": {"a.weight": torch.ones(2, 2)}}, "model_ema"),
        ({"generator": {"a.weight": torch.ones(2, 2)}}, "generator"),
        ({"model": {"state_dict": {"a.weight": torch.ones(2, 2)}}}, "model.state_dict"),
    ],
)
def test_a_checkpoint_contains_a_state_dict(content: Any, key: str, tmp_path: Path) -> None:
    weights = read(saved(content, tmp_path / "a.pth"))
    assert [layer.name for layer in weights.layers] == ["a"]
    assert weights.facts == {"state dict": key}


def test_entries_that_are_not_tensors_are_skipped(tmp_path: Path) -> None:
    content = {"a.weight": torch.ones(2, 2), "a._extra_state": None, "version": 3, "a.n": "x"}
    assert read(saved(content, tmp_path / "a.pth")).skipped == ("a._extra_state", "version", "a.n")


@BOTH
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a list instead of a state dict"),
        ({"a": 1}, "a dict without tensors"),
        ({}, "a dict without tensors"),
        ("text", "an object instead"),
        (torch.zeros(3), "a tensor instead"),
        ({"x": {"a.weight": torch.ones(2)}, "y": {"a.weight": torch.ones(2)}}, r"several .*\(x, y"),
        (module(), r"contains code \(torch.nn.modules.container.Sequential\), which is not exec"),
        (torch.ones(2, 2).to_sparse(), "not dense"),
    ],
)
def test_another_content_is_named(zipped: bool, content: Any, message: str, tmp_path: Path) -> None:
    path = saved(content, tmp_path / "a.pth", zipped=zipped)
    with pytest.raises(DataError, match=f"cannot read weights from .*a.pth: it .*{message}"):
        read(path)


@pytest.mark.filterwarnings(
    "ignore:torch.quantize:UserWarning", "ignore:Sparse CSR:UserWarning", "ignore:TypedStorage"
)
@pytest.mark.parametrize("kind", ["quantised", "sparse", "compressed"])
def test_the_advice_for_other_tensors_makes_them_plain(kind: str, tmp_path: Path) -> None:
    plain = torch.eye(3)
    tensor = {
        "quantised": lambda: torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
        "sparse": plain.to_sparse,
        "compressed": plain.to_sparse_csr,
    }[kind]()
    path, again = saved({"a.weight": tensor}, tmp_path / "a.pth"), tmp_path / "b.pth"
    with pytest.raises(DataError, match="save it again: ") as caught:
        read(path)
    _, _, program = str(caught.value).partition("save it again: ")
    state = torch.load(path, weights_only=False)
    exec(program, {"torch": torch, "state": state, "FILE": again})
    (layer,) = read(again).layers
    torch.testing.assert_close(layer.tensors["weight"], plain, rtol=0, atol=0.05)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_programs_are_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "a.pt")
    with pytest.raises(DataError, match="but a program of TorchScript"):
        read(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as archive:
        archive.writestr("a.txt", "1234")
    with pytest.raises(DataError, match="but another zip"):
        read(tmp_path / "c.pt")


# --------------------------------------------------------------------------------------- hostile


@BOTH
@pytest.mark.parametrize("kind", ["alone", "state", "checkpoint", "other entry"])
def test_code_in_a_pickle_is_not_run(zipped: bool, kind: str, tmp_path: Path) -> None:
    code, state = Executes(tmp_path / "ran"), {"a.weight": torch.zeros(3, 3)}
    content = {
        "alone": code,
        "state": {**state, "b": code},
        "checkpoint": {"state_dict": code},
        "other entry": {"state_dict": state, "args": code},
    }[kind]
    path = saved(content, tmp_path / "a.pth", zipped=zipped)
    with pytest.raises(DataError, match=r"contains code \(\w+.system\), which is not executed"):
        read(path)
    assert not (tmp_path / "ran").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()  # the file is as hostile as it is meant to be


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_other_programs_are_not_run(protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps(Executes(tmp_path / "ran"), protocol=protocol)
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read weights from .*a\.pth"):
        read(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


@BOTH
def test_a_file_that_is_cut_anywhere_is_named(zipped: bool, tmp_path: Path) -> None:
    content = saved(module().state_dict(), tmp_path / "a.pth", zipped=zipped).read_bytes()
    for cut in (*range(0, len(content), 97), len(content) - 1):
        (tmp_path / "b.pth").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"cannot read weights from .*b\.pth"):
            read(tmp_path / "b.pth")


@BOTH
def test_a_changed_byte_raises_nothing_else(zipped: bool, tmp_path: Path) -> None:
    content = bytearray(
        saved(module().state_dict(), tmp_path / "a.pth", zipped=zipped).read_bytes()
    )
    refused = 0
    for at in range(0, len(content), 23):
        changed = content.copy()
        changed[at] ^= 0x55
        (tmp_path / "b.pth").write_bytes(changed)
        try:
            read(tmp_path / "b.pth")
        except DataError:
            refused += 1
    assert refused > 20


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    content = saved({"a.weight": torch.full((9, 9), 7.25)}, tmp_path / "a.pth").read_bytes()
    value = struct.pack("<f", 7.25)
    (tmp_path / "b.pth").write_bytes(content.replace(value, struct.pack("<f", 7.5), 1))
    with pytest.raises(DataError, match="does not have its CRC"):
        read(tmp_path / "b.pth")


@contextmanager
def rewritten(source: Path, target: Path) -> Iterator[dict[str, bytes]]:
    """Yield the members of a zip, and write them as another."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    yield members
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@BOTH
@pytest.mark.parametrize("sizes", [(10**5, 10**5), (2**40,)])
def test_a_tensor_that_repeats_its_values_is_refused(
    zipped: bool, sizes: tuple[int, ...], tmp_path: Path
) -> None:
    large = torch.zeros([1] * len(sizes)).expand(sizes)
    path = saved({"a.weight": large}, tmp_path / "a.pth", zipped=zipped)
    assert f"a tensor claims {prod(sizes):,} values, and 1 are stored" in within(path, "pytorch")


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def number(value: int) -> bytes:
    return b"\x8a\x05" + value.to_bytes(5, "little")


def pickled(keys: str, count: int) -> bytes:
    """Return the pickle of a state dict with a vector for each key, all with as many values."""
    content = b"\x80\2}"
    for key in keys:
        storage = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
        content += text(f"{key}.weight") + b"ctorch._utils\n_rebuild_tensor\n"
        content += b"((" + storage + number(count) + b"tQK\0" + number(count) + b"\x85K\1\x85tRs"
    return content + b"."


HUGE = 10**10 // 4


def test_a_storage_that_claims_ten_gigabytes_is_refused(tmp_path: Path) -> None:
    saved({"a.weight": torch.zeros(3)}, tmp_path / "a.pth")
    with rewritten(tmp_path / "a.pth", tmp_path / "b.pth") as members:
        members["a/data.pkl"] = pickled("0", HUGE)
    message = within(tmp_path / "b.pth", "pytorch")
    assert "its storage 0 claims 10,000,000,000 bytes, and has 12" in message


def test_an_old_file_that_claims_ten_gigabytes_is_refused(tmp_path: Path) -> None:
    content = saved({}, tmp_path / "a.pth", zipped=False).read_bytes()
    start = content[: content.index(b"\x80\2}q\0.")]
    for count, message in (
        (HUGE, "its tensors claim 10,000,000,000 bytes, and the file has"),
        (3, "its storage 0 is not there"),
    ):
        keys = b"\x80\2]" + text("0") + b"a."
        (tmp_path / "b.pth").write_bytes(
            start + pickled("0", HUGE) + keys + struct.pack("<q", count) + bytes(12)
        )
        assert message in within(tmp_path / "b.pth", "pytorch")


def test_an_old_file_without_a_list_of_storages_is_refused(tmp_path: Path) -> None:
    content = saved({}, tmp_path / "a.pth", zipped=False).read_bytes()
    start = content[: content.index(b"\x80\2}q\0.")]
    for keys in (b"\x80\2K\1.", b"\x80\2N.", b"\x80\2]Na.", b"\x80\2]" + text("1") + b"a."):
        (tmp_path / "b.pth").write_bytes(start + pickled("0", 3) + keys + bytes(20))
        with pytest.raises(DataError, match=r"it is damaged: its? .*storage"):
            read(tmp_path / "b.pth")


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    keys = "012345678"
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", pickled(keys, 2**14))
        archive.writestr("a/data/0", bytes(2**16))
        for key in keys[1:]:
            again = copy(archive.getinfo("a/data/0"))
            again.filename = f"a/data/{key}"
            archive.filelist.append(again)
    with pytest.raises(DataError, match="its tensors claim 589,824 bytes, and the file has"):
        read(tmp_path / "a.pth")


def test_a_zip_that_is_compressed_is_refused(tmp_path: Path) -> None:
    path = saved({"a.weight": torch.zeros(3, 3)}, tmp_path / "a.pth")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if "data/0" not in name else bytes(2**26))
    assert "is compressed, and torch.save compresses nothing" in within(
        tmp_path / "b.pth", "pytorch", 2**25
    )


def test_names_of_members_are_not_paths(tmp_path: Path) -> None:
    path = saved({"a.weight": torch.zeros(3)}, tmp_path / "a.pth")
    with rewritten(path, tmp_path / "b.pth") as members:
        assert members["a/data.pkl"].count(text("0")) == 1
        members["a/data.pkl"] = members["a/data.pkl"].replace(text("0"), text("../../\x1b[2J"))
        members["../../evil"] = b"1"
    with pytest.raises(DataError) as caught:
        read(tmp_path / "b.pth")
    assert r"../../\u001b[2J claims 12 bytes, and is not there" in str(caught.value)
    assert not (tmp_path / "../../evil").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_members_with_one_name_are_refused(tmp_path: Path) -> None:
    path = saved({"a.weight": torch.zeros(3)}, tmp_path / "a.pth")
    with rewritten(path, tmp_path / "b.pth"):
        pass
    with zipfile.ZipFile(tmp_path / "b.pth", "a") as archive:
        archive.writestr("a/data/0", bytes(12))
    with pytest.raises(DataError, match="it has two members data/0"):
        read(tmp_path / "b.pth")


def test_a_directory_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    content = saved({"a.weight": torch.zeros(3)}, tmp_path / "a.pth").read_bytes()
    tail = bytearray(content[-22:])
    tail[12:16] = struct.pack("<I", LARGEST_DIRECTORY + 1)
    (tmp_path / "b.pth").write_bytes(content[:-22] + tail)
    with pytest.raises(DataError, match="the directory of its zip claims"):
        read(tmp_path / "b.pth")


def test_values_of_the_other_byte_order_are_refused(tmp_path: Path) -> None:
    path = saved({"a.weight": torch.zeros(3)}, tmp_path / "a.pth")
    with rewritten(path, tmp_path / "b.pth") as members:
        members["a/byteorder"] = b"big"
    with pytest.raises(DataError, match="its values are big-endian"):
        read(tmp_path / "b.pth")
