"""Shards as webdataset's own writer makes them."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from netspec.data import open_data
from netspec.errors import DataError

COUNT = 5


def crops(photograph: Path, count: int) -> list[np.ndarray]:
    with Image.open(photograph) as image:
        whole = np.asarray(image)
    return [whole[20 * i : 20 * i + 40, 30 * i : 30 * i + 50] for i in range(count)]


def write(path: Path, images: list[np.ndarray], first: int = 0) -> None:
    with webdataset.TarWriter(str(path)) as tar:
        for i, pixels in enumerate(images, first):
            tar.write({"__key__": f"some/photo{i}", "png": pixels, "cls": i % 3, "json": {"n": i}})


@pytest.fixture
def folder(photograph: Path, tmp_path: Path) -> Path:
    images = crops(photograph, COUNT)
    write(tmp_path / "train-000000.tar", images[:3])
    write(tmp_path / "train-000001.tar", images[3:], first=3)
    write(tmp_path / "val-000000.tar", images[::-1])
    return tmp_path


def refusal(place: object) -> str:
    with pytest.raises(DataError) as caught:
        open_data(f"shards:{place}")
    return str(caught.value)


def test_examples_are_read_at_their_places(folder: Path, photograph: Path) -> None:
    train, validation = open_data(f"shards:{folder}")
    images = crops(photograph, COUNT)
    assert (len(train), len(validation)) == (COUNT, COUNT)
    for i in (4, 0, 3, 2, 1):
        assert np.array_equal(train.example(i).pixels, images[i])
        assert train.example(i).label == i % 3
        assert np.array_equal(validation.example(i).pixels, images[COUNT - 1 - i])
    assert train.classes == validation.classes == ("0", "1", "2")
    assert train.name == f"{folder}, 5 for training"


def test_braces_and_wildcards_name_shards(folder: Path) -> None:
    by_folder = open_data(f"shards:{folder}")
    for names in ("{train-{000000..000001},val-000000}.tar", "{train,val}-*.tar", "*.tar"):
        splits = open_data(f"shards:{folder}/{names}")
        assert [s.digest for s in splits] == [s.digest for s in by_folder]
    assert len(open_data(f"shards:{folder}/{{train-000001,val-000000}}.tar").train) == 2


def test_it_pickles(folder: Path) -> None:
    train = open_data(f"shards:{folder}").train
    again = pickle.loads(pickle.dumps(train))
    assert np.array_equal(again.example(4).pixels, train.example(4).pixels)
    assert again.digest == train.digest


def test_the_digest_sees_keys_labels_and_sizes(folder: Path, photograph: Path) -> None:
    digests = [open_data(f"shards:{folder}").train.digest]
    write(folder / "train-000001.tar", crops(photograph, COUNT)[3:], first=4)
    digests.append(open_data(f"shards:{folder}").train.digest)
    write(folder / "train-000001.tar", crops(photograph, 2), first=4)
    digests.append(open_data(f"shards:{folder}").train.digest)
    assert len(set(digests)) == 3


def test_shards_that_are_missing_are_named(folder: Path, tmp_path: Path) -> None:
    message = refusal(f"{folder}/{{train-{{000000..000003}},val-000000}}.tar")
    assert f"missing shards: {folder}/train-000002.tar, {folder}/train-000003.tar: " in message
    assert "netspec pack" in message
    assert "a brace is not closed" in refusal(f"{folder}/train-{{0.tar")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty} has neither train-*.tar nor val-*.tar" in refusal(empty)
    assert "missing shards" in refusal(f"{empty}/*.tar")


def test_both_splits_must_be_named(folder: Path) -> None:
    assert "no shard has `val` in its name" in refusal(f"{folder}/train-*.tar")
    (folder / "train-000000.tar").rename(folder / "other.tar")
    assert f"{folder}/other.tar: its name does not contain `train` or `val`" in refusal(
        f"{folder}/*.tar"
    )


@pytest.mark.parametrize("part", [0.0, 0.3, 0.7])
def test_a_truncated_shard_is_named(folder: Path, part: float) -> None:
    path = folder / "train-000001.tar"
    os.truncate(path, round(part * path.stat().st_size))
    assert refusal(folder).startswith(f"{path} is truncated or corrupt")


def test_a_shard_cut_between_two_files_is_named(folder: Path) -> None:
    path = folder / "train-000001.tar"
    with tarfile.open(path) as tar:
        os.truncate(path, tar.getmember("some/photo4.cls").offset)
    assert refusal(folder).startswith(f"{path} is truncated or corrupt")


def test_a_spoilt_header_is_named(folder: Path) -> None:
    path = folder / "train-000001.tar"
    with tarfile.open(path) as tar:
        place = tar.getmembers()[3].offset
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)
    assert str(path) in refusal(folder)


def test_a_spoilt_image_is_named_by_shard_and_key(folder: Path) -> None:
    path = folder / "train-000000.tar"
    with tarfile.open(path) as tar:
        place = tar.getmember("some/photo1.png").offset_data
    data = bytearray(path.read_bytes())
    data[place : place + 4] = b"oops"
    path.write_bytes(data)
    train = open_data(f"shards:{folder}").train
    with pytest.raises(DataError, match=f"cannot read some/photo1 in {path}: it is not an image"):
        train.example(1)
    assert train.example(2).label == 2


def test_compressed_shards_are_refused_with_what_to_do(folder: Path) -> None:
    with tarfile.open(folder / "val-000000.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    assert "or unpack it if it is compressed" in refusal(folder)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.png": b""}, "a has files of the types png, but an example must be one image"),
        ({"a.cls": b"0"}, "a has files of the types cls"),
        ({"a.png": b"", "a.jpg": b"", "a.cls": b"0"}, "a has files of the types png, jpg, cls"),
        ({"a.png": b"", "a.cls": b"cat"}, "a.cls contains b'cat', not the number of a class"),
        ({"a.png": b"", "a.cls": b"-1"}, "a.cls contains b'-1'"),
        ({"a.txt": b""}, "a has files of the types txt"),
        ({"readme": b""}, "there are no images in 1 shards"),
    ],
)
def test_samples_that_are_none_are_told(folder: Path, files: dict[str, bytes], said: str) -> None:
    with tarfile.open(folder / "val-000000.tar", "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    message = refusal(folder)
    assert said in message
    assert str(folder) in message


def test_without_webdataset_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "braceexpand", None)
    monkeypatch.setitem(sys.modules, "webdataset.tariterators", None)
    for place in (folder, f"{folder}/*.tar"):
        assert "pip install 'netspec-compiler[shards]'" in refusal(place)
