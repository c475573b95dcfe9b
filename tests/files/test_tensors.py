from __future__ import annotations

import json
import os
import random
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from netspec import DataError
from netspec.files.tensors import DTYPES, LARGEST_HEADER, PIECE, header, opened_tensors
from netspec.runtime.weights import save_tensors


def read(path: Path) -> dict[str, torch.Tensor]:
    with opened_tensors(path) as file:
        return file.read()


def small() -> dict[str, torch.Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return {
        "b": torch.randn(3, generator=drawn),
        "a": torch.randn(2, 3, generator=drawn).t(),
        "half": torch.randn(5, generator=drawn).bfloat16(),
        "wide": torch.randn(1, 1, 2, 2, generator=drawn, dtype=torch.float64),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 4),
        "true": torch.tensor([True, False]),
    }


def raw(entries: Any, data: bytes = b"") -> bytes:
    content = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(content)) + content + data


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_the_library_reads_what_is_written_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors(small(), path, {"note": 'ü\n"'})
    for loaded in (load_file(path), read(path)):
        assert loaded.keys() == small().keys()
        for name, tensor in small().items():
            assert loaded[name].dtype == tensor.dtype
            assert torch.equal(loaded[name], tensor)
    with opened_tensors(path) as file:
        assert file.notes["note"] == 'ü\n"'


def test_files_of_the_library_are_read_without_a_digest(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    tensors = {name: tensor.contiguous() for name, tensor in small().items()}
    save_file(tensors, path, {"from": "elsewhere"})
    loaded = read(path)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_goes_and_comes_back(name: str, tmp_path: Path) -> None:
    tensor = torch.arange(3).to(DTYPES[name])
    save_tensors({"t": tensor}, tmp_path / "t")
    loaded = read(tmp_path / "t")["t"]
    assert loaded.dtype == tensor.dtype
    assert bytes(loaded.view(torch.uint8).numpy()) == bytes(tensor.view(torch.uint8).numpy())


@pytest.mark.parametrize("share", [0.1, pytest.param(1.0, marks=pytest.mark.slow)])
def test_every_flipped_bit_and_every_truncation_is_an_error_or_harmless(
    tmp_path: Path, share: float
) -> None:
    path, tensors = tmp_path / "t.safetensors", small()
    save_tensors(tensors, path, {"note": "text"})
    whole = path.read_bytes()
    harmless = 0
    changed = [whole[:length] for length in range(len(whole))]
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.append(bytes(flipped))
    for content in random.sample(changed, int(share * len(changed))):
        path.write_bytes(content)
        try:
            loaded = read(path)
        except DataError as error:
            assert str(path) in str(error)
            continue
        harmless += 1
        assert loaded.keys() == tensors.keys()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    # only the name of the digest itself can change unnoticed: six characters of seven bits or eight
    assert harmless <= 48


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04pickle, long enough for eight bytes",
        raw(b"[]"),
        raw(b"{"),
        raw(b'{"a": NaN}'),
        raw(b"[" * 100_000),
        raw(b"\xff{}"),
        raw({"a": entry([1], 0, 4)}),
        raw({"a": entry([1], 0, 4)}, b"12345"),
        raw({"a": entry([1], 4, 8)}, b"12345678"),
        raw({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, b"1234"),
        raw({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, b"123456789012"),
        raw({"a": entry([-1], 0, -4)}),
        raw({"a": entry([2**62, 2**62, 0], 0, 0)}),
        raw({"a": entry([2**40], 0, 2**42)}),
        raw({"a": entry([1.0], 0, 4)}, b"1234"),  # type: ignore[list-item]
        raw({"a": entry([True], 0, 4)}, b"1234"),
        raw({"a": entry([1], 0, 4, "F31")}, b"1234"),
        raw({"a": {"dtype": "F32", "shape": [1]}}, b"1234"),
        raw({"a": []}),
        raw({"__metadata__": {"a": 1}}),
        raw({"__metadata__": []}),
        raw(b'{"a": 1, "a": 2}'),
        raw({"a": entry([2**63 - 1] * 400, 0, 0)}),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", LARGEST_HEADER + 1) + b"{" + b" " * LARGEST_HEADER,
    ],
    ids=range(26),
)
def test_what_is_not_a_whole_file_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.safetensors"):
        read(path)


def test_a_header_is_checked_before_a_sparse_terabyte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    content = raw({"a": entry([2**38], 0, 2**40)})
    path.write_bytes(content)
    os.truncate(path, len(content) + 2**40)
    with opened_tensors(path) as file:
        assert file.tensors["a"].shape == (2**38,)


def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    save_tensors({}, tmp_path / "t")
    (tmp_path / "link").symlink_to("t")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("link", "link"), ("pipe", "not a plain file"), (".", "directory|plain")):
        with pytest.raises(DataError, match=f"cannot read weights from .*{reason}"):
            read(tmp_path / name)
    with pytest.raises(DataError, match="not a plain file"):
        read(Path("/dev/zero"))


def test_what_replaces_a_file_between_header_and_tensors_is_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors({"x": torch.zeros(4)}, path)
    with opened_tensors(path) as file:
        save_tensors({"w": torch.ones(9), "x": torch.ones(4)}, path)
        assert torch.equal(file.read()["x"], torch.zeros(4))
    assert torch.equal(read(path)["x"], torch.ones(4))


def test_what_is_written_into_a_file_meanwhile_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors({"x": torch.zeros(4)}, path)
    with opened_tensors(path) as file, path.open("r+b") as other:
        other.seek(-4, os.SEEK_END)
        other.write(b"\0\0\0\1")
        other.flush()
        with pytest.raises(DataError, match=r"is damaged: .* digest"):
            file.read()
    save_tensors({"x": torch.zeros(4)}, path)

    def shortened() -> None:
        with opened_tensors(path) as file:
            os.truncate(path, os.path.getsize(path) - 1)
            file.read()

    with pytest.raises(DataError, match="became shorter"):
        shortened()


def test_what_is_not_finite_is_known_once_it_is_read(tmp_path: Path) -> None:
    path, places = tmp_path / "t.safetensors", {"first": 0, "last": PIECE}
    tensors = {name: torch.zeros(PIECE + 1, dtype=torch.float16) for name in ("all", *places)}
    for name, place in places.items():
        tensors[name][place] = -torch.inf
    save_tensors(tensors | {"whole": torch.tensor([-1])}, path)
    with opened_tensors(path) as file:
        assert not file.not_finite
        loaded = file.read()
    assert file.not_finite == {name: loaded[name] for name in places}


def test_a_reader_beside_a_writer_sees_one_file_or_the_other(tmp_path: Path) -> None:
    """The header of each file is as long as its number says, so that mixed reads are shifted."""
    path, over = tmp_path / "t.safetensors", threading.Event()

    def kept(number: int) -> None:
        tensors = {"x": torch.full((1000,), float(number)), "y" * (1 + number): torch.zeros(8)}
        save_tensors(tensors, path, {"number": str(number)})

    def write() -> None:
        drawn = random.Random(0)
        while not over.is_set():
            kept(drawn.randrange(50))

    kept(0)
    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    try:
        for _ in range(400):
            with opened_tensors(path) as file:
                number, loaded = int(file.notes["number"]), file.read()
            assert torch.equal(loaded["x"], torch.full((1000,), float(number)))
            seen.add(number)
    finally:
        over.set()
        writer.join()
    assert len(seen) > 5


def test_an_artifacts_header_has_no_notes() -> None:
    assert header({}) == struct.pack("<Q", 8) + b"{}      "
