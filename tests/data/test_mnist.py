from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from netspec.data import open_data
from netspec.data.digits import _digits
from netspec.errors import DataError
from tests.data.files import IMAGES, LABELS, write_idx, write_mnist

DIGITS = _digits()
PIXELS = np.rint(DIGITS.pixels[:25, ..., 0] * (255 / 16)).astype(np.uint8)
TARGETS = DIGITS.labels[:25]


@pytest.fixture(params=["", ".gz"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_mnist(tmp_path, PIXELS, TARGETS, request.param)
    return tmp_path


def the(folder: Path, name: str) -> Path:
    (path,) = folder.glob(f"{name}*")
    return path


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_data(f"mnist:{folder}")
    return str(caught.value)


def test_images_and_labels_are_those_that_were_written(folder: Path) -> None:
    train, validation = open_data(f"mnist:{folder}")
    assert (train.name, validation.name) == ("mnist, 20 for training", "mnist, 5 for validation")
    examples = [train.example(i) for i in range(20)] + [validation.example(i) for i in range(5)]
    assert np.array_equal(np.stack([e.pixels for e in examples]), PIXELS[..., np.newaxis])
    assert [e.label for e in examples] == TARGETS.tolist()
    assert train.classes == tuple("0123456789")


def test_gzip_or_not_is_the_same_data(tmp_path: Path) -> None:
    splits = []
    for suffix in ("", ".gz"):
        folder = tmp_path / f"mnist{suffix}"
        folder.mkdir()
        write_mnist(folder, PIXELS, TARGETS, suffix)
        splits.append(open_data(f"mnist:{folder}"))
    plain, packed = splits
    assert plain.train.digest == packed.train.digest
    assert plain.validation.digest != plain.train.digest


def test_it_pickles_small_and_reads_again(folder: Path) -> None:
    train = open_data(f"mnist:{folder}").train
    pickled = pickle.dumps(train)
    assert len(pickled) < 1000
    assert np.array_equal(pickle.loads(pickled).example(3).pixels[..., 0], PIXELS[3])


def test_what_is_missing_is_listed_with_where_it_goes(folder: Path) -> None:
    gone = [the(folder, f"t10k-{LABELS}"), the(folder, f"train-{IMAGES}")]
    for path in gone:
        path.unlink()
    message = refusal(folder)
    assert message.startswith(f"missing train-{IMAGES}.gz, t10k-{LABELS}.gz in {folder}: ")
    assert "download them" in message
    assert "is not a folder" in refusal(folder / "none")


@pytest.mark.parametrize("length", [0, 3, 10, 15, 16, 100, -1])
def test_a_truncated_file_is_named(folder: Path, length: int) -> None:
    path = the(folder, f"train-{IMAGES}")
    path.write_bytes(path.read_bytes()[:length])
    message = refusal(folder)
    assert str(path) in message
    assert "download it again" in message


def test_bytes_missing_and_too_many_are_counted(tmp_path: Path) -> None:
    write_mnist(tmp_path, PIXELS, TARGETS)
    path = tmp_path / f"train-{IMAGES}"
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert f"{path} is truncated: 1,289 bytes, not 1,296" in refusal(tmp_path)
    path.write_bytes(whole + b"0")
    assert f"{path} is too long: 1,297 bytes, not 1,296" in refusal(tmp_path)


def test_spoilt_gzip_data_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, PIXELS, TARGETS, ".gz")
    path = tmp_path / f"train-{IMAGES}.gz"
    spoilt = bytearray(path.read_bytes())
    spoilt[len(spoilt) // 2] ^= 255
    path.write_bytes(spoilt)
    assert f"{path} is corrupt" in refusal(tmp_path)


def test_labels_in_the_place_of_images_are_told_by_the_magic_number(tmp_path: Path) -> None:
    write_mnist(tmp_path, PIXELS, TARGETS)
    path = tmp_path / f"t10k-{IMAGES}"
    path.write_bytes((tmp_path / f"t10k-{LABELS}").read_bytes())
    assert f"{path} begins with 00 00 08 01, not 00 00 08 03" in refusal(tmp_path)
    path.write_bytes(gzip.compress(b"<html>"))
    assert f"{path} begins with 3c 68 74 6d" in refusal(tmp_path)


def test_counts_that_differ_are_told(tmp_path: Path) -> None:
    write_mnist(tmp_path, PIXELS, TARGETS)
    write_idx(tmp_path / f"train-{LABELS}", TARGETS[:7])
    message = refusal(tmp_path)
    assert "has 20 images" in message
    assert "7 labels" in message


def test_a_label_that_is_no_digit_is_told(tmp_path: Path) -> None:
    labels = TARGETS.copy()
    labels[4] = 11
    write_mnist(tmp_path, PIXELS, labels)
    assert f"{tmp_path / f'train-{LABELS}'}: label 4 is 11, not 0 to 9" in refusal(tmp_path)


def test_no_images_at_all_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, PIXELS[:5], TARGETS[:5])
    assert "has no images" in refusal(tmp_path)
