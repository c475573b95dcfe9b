from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.data import cifar, open_data
from netspec.errors import DataError

RECORDS = 20


def records(photograph: Path, classes: int, labels: int, seed: int) -> tuple[np.ndarray, bytes]:
    """Crops of a real photograph [N, 32, 32, 3], and the file that holds them, by hand."""
    draw = np.random.default_rng(seed)
    with Image.open(photograph) as image:
        whole = np.asarray(image)
    pixels, data = [], b""
    for number in range(RECORDS):
        top, left = draw.integers(0, 300, 2)
        crop = whole[top : top + 32, left : left + 32]
        pixels.append(crop)
        coarse = b"\x63" * (labels - 1)
        data += coarse + bytes([number % classes])
        data += b"".join(crop[..., channel].tobytes() for channel in range(3))
    return np.stack(pixels), data


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CIFAR10", "CIFAR100"):
        version = getattr(cifar, name)
        few = version._replace(train_records=RECORDS, test_records=RECORDS)
        monkeypatch.setattr(cifar, name, few)


@pytest.fixture
def ten(photograph: Path, tmp_path: Path, small: None) -> Path:
    for i, name in enumerate((*cifar.CIFAR10.train, cifar.CIFAR10.test)):
        (tmp_path / name).write_bytes(records(photograph, 10, 1, i)[1])
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    (tmp_path / "batches.meta.txt").write_text(names.replace(" ", "\n") + "\n\n")
    return tmp_path


def refusal(source: str) -> str:
    with pytest.raises(DataError) as caught:
        open_data(source)
    return str(caught.value)


def test_ten_classes_from_five_files(ten: Path, photograph: Path) -> None:
    train, validation = open_data(f"cifar10:{ten}")
    assert (train.name, validation.name) == (
        "cifar10, 100 for training",
        "cifar10, 20 for validation",
    )
    assert train.classes[:2] == ("airplane", "automobile")
    for split, seeds in ((train, range(5)), (validation, [5])):
        written = np.concatenate([records(photograph, 10, 1, seed)[0] for seed in seeds])
        examples = [split.example(i) for i in range(len(split))]
        assert np.array_equal(np.stack([e.pixels for e in examples]), written)
        assert [e.label for e in examples] == [i % 10 for i in range(len(split))]
    assert examples[0].pixels.flags.c_contiguous


def test_the_folder_that_the_archive_makes_is_found(ten: Path, tmp_path: Path) -> None:
    inside = tmp_path / "cifar-10-batches-bin"
    inside.mkdir()
    for path in list(tmp_path.glob("*.*")):
        path.rename(inside / path.name)
    train = open_data(f"cifar10:{tmp_path}").train
    assert train.digest == open_data(f"cifar10:{inside}").train.digest
    assert len(pickle.dumps(train)) < 2000


def test_a_hundred_classes_are_the_fine_ones(photograph: Path, tmp_path: Path, small: None) -> None:
    pixels, data = records(photograph, 100, 2, 0)
    (tmp_path / "train.bin").write_bytes(data)
    (tmp_path / "test.bin").write_bytes(data)
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"name_{i}" for i in range(100)))
    train = open_data(f"cifar100:{tmp_path}").train
    assert [train.example(i).label for i in range(RECORDS)] == list(range(RECORDS))
    assert np.array_equal(train.example(7).pixels, pixels[7])
    assert train.classes[99] == "name_99"


def test_what_is_missing_is_listed_with_what_to_download(ten: Path) -> None:
    (ten / "data_batch_3.bin").unlink()
    (ten / "test_batch.bin").unlink()
    message = refusal(f"cifar10:{ten}")
    assert message.startswith(f"missing data_batch_3.bin, test_batch.bin in {ten}: ")
    assert "cifar-10-binary.tar.gz" in message
    assert "cifar-100-binary.tar.gz" in refusal(f"cifar100:{ten}")


def test_a_file_of_another_length_is_named(ten: Path) -> None:
    path = ten / "data_batch_2.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3073])
    assert f"{path} is truncated: 58,387 bytes, not 61,460" in refusal(f"cifar10:{ten}")
    path.write_bytes(whole + whole)
    assert f"{path} is too long" in refusal(f"cifar10:{ten}")


def test_a_label_out_of_range_is_corruption(ten: Path) -> None:
    path = ten / "data_batch_2.bin"
    spoilt = bytearray(path.read_bytes())
    spoilt[4 * 3073] = 10
    path.write_bytes(spoilt)
    assert f"{path} is corrupt: the label of record 4 is 10, not 0 to 9" in refusal(
        f"cifar10:{ten}"
    )


def test_names_that_are_too_few_are_told(ten: Path) -> None:
    (ten / "batches.meta.txt").write_text("cat\ndog\n")
    assert "batches.meta.txt names 2 classes, not 10" in refusal(f"cifar10:{ten}")


def test_the_real_sets_have_fifty_thousand_and_ten_thousand() -> None:
    for version in (cifar.CIFAR10, cifar.CIFAR100):
        assert len(version.train) * version.train_records == 50_000
        assert version.test_records == 10_000
