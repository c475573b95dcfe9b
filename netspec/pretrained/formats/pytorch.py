"""Read state dicts of PyTorch (``.pth``, ``.pt``) without executing what a pickle may contain.

Since PyTorch 1.6 a file is a zip that is not compressed, with a pickle and one member per storage.
Before, it was five pickles (a number that marks the format, a version, sizes of types, the state
dict, the keys of the storages), then each storage after the number of its values.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias

import torch
from torch import Tensor

from netspec.files.members import shown
from netspec.files.reading import fill
from netspec.files.tensors import bytes_of
from netspec.pretrained.formats.common import Damaged, opened_plain, reading
from netspec.pretrained.formats.pickles import (
    SAVE_AGAIN,
    Described,
    Storage,
    described,
)
from netspec.pretrained.grouping import layers_of
from netspec.pretrained.layers import Weights

STATES = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights",
)  # fmt: skip
"""Keys under which checkpoints store the state dict of the model, the preferred one first."""

AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""The same for averages of the weights, which are used if there is nothing else."""

DEEPEST = 4
"""The largest number of dicts that contain each other around a state dict."""

LARGEST_PICKLE = 2**24
"""The largest size of a pickle in bytes: about 50,000 tensors."""

LARGEST_DIRECTORY = 2**24
"""The largest size of the directory of a zip in bytes: about 200,000 members."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_LOCAL, _END, _END64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"
_NOT_PYTORCH = "it is not a file of torch.save"


@dataclass(frozen=True)
class _Place:
    """Consecutive bytes of a file: the first, their number, and their CRC or 0."""

    begin: int
    nbytes: int
    crc: int = 0


Places: TypeAlias = Mapping[str, _Place]


def read(path: Path) -> Weights:
    """Return the layers of a state dict, or of a checkpoint that contains one.

    No pickle is executed, and the sizes that the file claims are compared with its own before
    memory is allocated.  Only the storages of the state dict are read.

    Raises:
        DataError: the file cannot be read, is damaged, or contains code instead of a state dict.
    """
    with reading(path), opened_plain(path) as (file, size):
        is_zip = file.read(4) == _LOCAL
        value, places = _in_zip(file, size) if is_zip else _in_sequence(file)
        state, facts = _state_of(value)
        tensors = {
            name: tensor
            for name, tensor in state.items()
            if isinstance(name, str) and isinstance(tensor, Described)
        }
        layers, skipped = layers_of(_tensors(file, size, tensors, places))
    others = [str(name) for name in state if name not in tensors]
    return Weights(path, "pytorch", layers, skipped=(*skipped, *others), facts=facts)


# -------------------------------------------------------------------------------------- containers


def _in_zip(file: BinaryIO, size: int) -> tuple[Any, Places]:
    """Return what the pickle in a zip describes, and the places of all storages."""
    _require_small_directory(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error):
        raise Damaged("it is truncated or damaged: its zip has no directory") from None
    root = _root({member.filename for member in members})
    places: dict[str, _Place] = {}
    for member in members:
        name = member.filename.removeprefix(root)
        if name in places:
            raise Damaged(f"it has two members {shown(name)}")
        places[name] = _place(file, size, member)
    if "byteorder" in places and _content(file, places["byteorder"], 16) != b"little":
        raise Damaged("its values are big-endian", SAVE_AGAIN)
    value, _ = described(BytesIO(_content(file, places["data.pkl"], LARGEST_PICKLE)))
    data = "data/"
    return value, {
        name.removeprefix(data): place for name, place in places.items() if name.startswith(data)
    }


def _root(names: set[str]) -> str:
    """Return the folder of a zip in which a state dict's pickle is, with a slash."""
    folders = sorted(name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl"))
    if any(name.endswith("/constants.pkl") for name in names):
        raise Damaged(f"{_NOT_PYTORCH} but a program of TorchScript", SAVE_AGAIN)
    if len(folders) != 1:
        raise Damaged(f"{_NOT_PYTORCH} but another zip")
    return folders[0]


def _place(file: BinaryIO, size: int, member: zipfile.ZipInfo) -> _Place:
    """Return where a member of a zip is, which must not be compressed."""
    name = shown(member.filename)
    if not 0 <= member.header_offset < size:
        raise Damaged(f"it is damaged: its member {name} is outside the file")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise Damaged(f"its member {name} is compressed, and torch.save compresses nothing")
    file.seek(member.header_offset)
    head = file.read(30)
    if len(head) < 30 or head[:4] != _LOCAL:
        raise Damaged(f"it is damaged: its member {name} is not where its zip says")
    begin = member.header_offset + 30 + sum(struct.unpack("<HH", head[26:]))
    if begin + member.file_size > size:
        raise Damaged(
            f"it is damaged: its member {name} claims {member.file_size:,} bytes, and the file has "
            f"{size:,}"
        )
    return _Place(begin, member.file_size, member.CRC)


def _require_small_directory(file: BinaryIO, size: int) -> None:
    """Check the directory's size before it is read: each member takes ten times as much memory."""
    file.seek(max(0, size - 98))  # the records that PyTorch writes last
    tail = file.read(98)
    if tail[-22:-18] != _END:
        raise Damaged("it is truncated: its zip does not have an end")
    length = struct.unpack("<I", tail[-10:-6])[0]
    if length == 0xFFFFFFFF and tail[:4] == _END64:
        length = struct.unpack("<Q", tail[40:48])[0]
    if length > LARGEST_DIRECTORY:
        raise Damaged(f"the directory of its zip claims {length:,} bytes")


def _content(file: BinaryIO, place: _Place, at_most: int) -> bytes:
    if place.nbytes > at_most:
        raise Damaged(f"its pickle has {place.nbytes:,} bytes, and at most {at_most:,} are read")
    file.seek(place.begin)
    return file.read(place.nbytes)


def _in_sequence(file: BinaryIO) -> tuple[Any, Places]:
    """Return what the state dict's pickle in an old file describes, and the places of storages."""
    file.seek(0)
    head = BytesIO(file.read(LARGEST_PICKLE))
    if not head.getvalue().startswith(b"\x80"):
        raise Damaged(_NOT_PYTORCH)
    magic, version, system = (described(head)[0] for _ in range(3))
    if (magic, version) != (MAGIC, PROTOCOL) or not isinstance(system, dict):
        raise Damaged(f"{_NOT_PYTORCH}, but another pickle", SAVE_AGAIN)
    if system.get("little_endian") is not True:
        raise Damaged("its values are big-endian", SAVE_AGAIN)
    (value, stored), (keys, _) = described(head), described(head)
    if not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
        raise Damaged("it is damaged: it has no list of its storages")
    places, begin = {}, head.tell()
    for key in map(str, keys):
        if key not in stored or key in places:
            raise Damaged(f"it is damaged: its storage {shown(key)} is not described")
        file.seek(begin)
        count = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))[0]
        if count != stored[key].count:
            raise Damaged(f"it is truncated or damaged: its storage {shown(key)} is not there")
        places[key] = _Place(begin + 8, stored[key].nbytes)
        begin += 8 + stored[key].nbytes
    return value, places


# ------------------------------------------------------------------------------------------ tensors


def _tensors(
    file: BinaryIO, size: int, state: Mapping[str, Described], places: Places
) -> dict[str, Tensor]:
    """Return tensors by name; those that share a storage share memory."""
    stored = {tensor.storage.key: tensor.storage for tensor in state.values()}
    for key, storage in stored.items():
        place = places.get(key)
        if place is None or place.nbytes != storage.nbytes:
            size_of = "is not there" if place is None else f"has {place.nbytes:,}"
            raise Damaged(
                f"its storage {shown(key)} claims {storage.nbytes:,} bytes, and {size_of}"
            )
    # Members of a zip may overlap: each is within the file, and all of them need not be.
    total = sum(storage.nbytes for storage in stored.values())
    if total > size:
        raise Damaged(f"its tensors claim {total:,} bytes, and the file has {size:,}")
    memory = {key: _values(file, storage, places[key]) for key, storage in stored.items()}
    return {
        name: memory[tensor.storage.key]
        .view(tensor.dtype)
        .as_strided(tensor.shape, tensor.strides, tensor.offset)
        for name, tensor in state.items()
    }


def _values(file: BinaryIO, storage: Storage, place: _Place) -> Tensor:
    try:
        values = torch.empty(storage.count, dtype=storage.dtype)
    except RuntimeError:  # PyTorch's allocator does not raise MemoryError
        raise MemoryError from None
    content = bytes_of(values)
    file.seek(place.begin)
    fill(file, content)
    # PyTorch writes 0 if it is told not to compute the digest.
    if place.crc and zlib.crc32(content) != place.crc:
        raise Damaged(f"it is damaged: its storage {shown(storage.key)} does not have its CRC")
    return values


# ------------------------------------------------------------------------------------- checkpoints


def _state_of(value: Any) -> tuple[Mapping[Any, Any], dict[str, str]]:
    """Return the state dict in what a file contains, and facts about a checkpoint that has it."""
    keys: list[Any] = []
    states: list[Any] = []
    while isinstance(value, dict) and len(keys) < DEEPEST:
        states = _states(value)
        inner = {key for key, own in value.items() if isinstance(own, dict)}
        chosen = next((key for key in (*STATES, *AVERAGES) if key in (states or inner)), None)
        if chosen is None and not _is_state(value) and len(states) == 1:
            (chosen,) = states
        if chosen is None:
            break
        keys.append(chosen)
        value = value[chosen]
        if states:
            break
    if not _is_state(value):
        _refuse(value, states)
    others = [str(key) for key in states if key not in keys]
    facts = {"state dict": ".".join(map(str, keys)), "not read": ", ".join(others)}
    return value, {name: shown(fact) for name, fact in facts.items() if fact}


def _states(value: Mapping[Any, Any]) -> list[Any]:
    """Return the keys of state dicts in a checkpoint."""
    # each dict is searched once, though a pickle can contain it a million times
    inner = {id(own): own for own in value.values()}
    found = {number for number, own in inner.items() if _is_state(own)}
    return [key for key, own in value.items() if id(own) in found]


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(own, Described) for own in value.values())


def _refuse(value: Any, states: list[Any]) -> NoReturn:
    if states:
        names = ", ".join(shown(str(key)) for key in states[:4])
        raise Damaged(
            f"it has several state dicts ({names})",
            "save the one that you need: torch.save(torch.load(FILE)[KEY], NEW)",
        )
    kind = {dict: "a dict without tensors", list: "a list", Described: "a tensor"}
    raise Damaged(
        f"it contains {kind.get(type(value), 'an object')} instead of a state dict", SAVE_AGAIN
    )
