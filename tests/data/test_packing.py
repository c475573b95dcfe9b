from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from netspec.data import Dataset, Example, Splits, open_data, packing
from netspec.data.images import FORMATS
from netspec.data.manifest import load_manifest
from netspec.errors import DataError
from tests.forked import forked

SIZE = 64


@pytest.fixture(autouse=True)
def _two_images_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SHARD", 2 * 3 * SIZE * SIZE)


def pack(source: object, folder: Path, **options: object) -> object:
    settings = {"size": SIZE, "faults": 100, **options}
    return packing.pack(str(source), folder, **settings)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shorter_side_and_centre_are_stored_decoded(photographs: Path, tmp_path: Path) -> None:
    pack(f"images:{photographs}", tmp_path / "shards")
    train, validation = open_data(f"shards:{tmp_path / 'shards'}")
    assert train.classes == ("flower", "palace")
    assert (len(train), len(validation)) == (6, 6)
    for i in range(6):
        with Image.open(sorted(photographs.glob("train/*/*"))[i]) as image:  # 96..112 x 80
            width = round(image.width * SIZE / 80)
            scaled = np.asarray(image.resize((width, SIZE), Image.Resampling.BICUBIC))
        left = (width - SIZE) // 2
        assert np.array_equal(train.example(i).pixels, scaled[:, left : left + SIZE])
        assert train.example(i).label == i // 3


@pytest.mark.filterwarnings("ignore:.*FileIO")  # webdataset does not close what it read
def test_webdataset_reads_the_shards(photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    pack(f"images:{photographs}", folder)
    shards = webdataset.WebDataset(str(folder / "train-000001.tar"), shardshuffle=False)
    examples = list(shards.decode("rgb8").to_tuple("ppm", "cls"))
    train = open_data(f"shards:{folder}").train
    assert [label for _, label in examples] == [0, 1]
    for i, (pixels, _) in enumerate(examples):
        assert np.array_equal(pixels, train.example(2 + i).pixels)


def test_grey_images_are_stored_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SHARD", 2**20)
    pack("digits:16", tmp_path / "shards", size=16)
    digits = open_data("digits:16").validation
    validation = open_data(f"shards:{tmp_path / 'shards'}").validation
    assert b"000000.pgm" in (tmp_path / "shards" / "val-000000.tar").read_bytes()
    for i in range(0, 360, 50):
        pixels = validation.example(i).pixels
        assert pixels.shape == (16, 16, 3)
        assert (pixels == digits.example(i).pixels).all()


def test_the_same_data_makes_the_same_shards(photographs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack(f"images:{photographs}", tmp_path / name)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_processes_write_what_one_writes(photographs: Path, tmp_path: Path) -> None:
    pack(f"images:{photographs}", tmp_path / "one")
    pack(f"images:{photographs}", tmp_path / "two", workers=2)
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert sorted(one) == sorted(two)
    for name in one.keys() - {"pack.json"}:
        assert one[name] == two[name]


class Dying(Dataset):
    """A data set whose images end the process that reads them, as a lack of memory would."""

    def __len__(self) -> int:
        return 1

    def example(self, number: int) -> Example:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def contents(self) -> Iterable[bytes]:
        return ()


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    splits = Splits(Dying("dying", ()), Dying("dying", ()))
    jobs = [packing._Job(tmp_path / f"{k}.tar", k, range(1)) for k in range(2)]
    with pytest.raises(DataError, match="a packing process died"):
        list(packing._written(splits, jobs, SIZE, faults=0, workers=2))


def test_it_goes_on_where_it_stopped(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(f"images:{photographs}", tmp_path / "whole")
    write, done = packing.write_whole, []

    def failing(path: Path, content: bytes) -> None:
        if len(done) == 4:
            raise DataError(f"cannot write {path}: no space left on device")
        done.append(path.name)
        write(path, content)

    monkeypatch.setattr(packing, "write_whole", failing)
    folder = tmp_path / "shards"
    with pytest.raises(DataError, match="no space left"):
        pack(f"images:{photographs}", folder)
    with pytest.raises(DataError, match=r"has not finished: run `netspec pack images:"):
        open_data(f"shards:{folder}")
    left_over = folder / ".netspec-saving-a1b2c3d4"
    left_over.mkdir()
    for name in ("lock", "new"):
        (left_over / name).write_bytes(b"of a process that was killed")
    (folder / ".mine.tar.gz").write_bytes(b"of somebody else")
    done.clear()
    pack(f"images:{photographs}", folder)
    assert done == ["val-000001.tar", "val-000002.tar"]
    assert not left_over.exists()
    assert (folder / ".mine.tar.gz").read_bytes() == b"of somebody else"
    (folder / ".mine.tar.gz").unlink()
    assert files(folder) == files(tmp_path / "whole")


def test_a_shard_that_is_lost_or_cut_is_packed_again(photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    pack(f"images:{photographs}", folder)
    whole = files(folder)
    (folder / "train-000001.tar").unlink()
    with pytest.raises(DataError, match=r"missing shards: .*/train-000001.tar: "):
        open_data(f"shards:{folder}")
    os.truncate(folder / "val-000000.tar", 5000)
    with pytest.raises(DataError, match=r"val-000000.tar is truncated: 5,000 bytes, not"):
        open_data(f"shards:{folder}/{{train-000000,val-000000}}.tar")
    pack(f"images:{photographs}", folder)
    again = files(folder)
    assert {n: again[n] for n in whole if n != "pack.json"} == {
        n: whole[n] for n in whole if n != "pack.json"
    }


def test_corrupt_images_are_left_out_noted_and_counted(photographs: Path, tmp_path: Path) -> None:
    spoilt = photographs / "train" / "palace" / "palace_0.JPEG"
    spoilt.write_bytes(b"not an image")
    folder = tmp_path / "shards"
    pack(f"images:{photographs}", folder)
    manifest = load_manifest(folder)
    assert manifest is not None
    assert manifest.shards["train-000001.tar"].faults == (
        f"cannot read {spoilt}: it is not an image ({', '.join(FORMATS)})",
    )
    train = open_data(f"shards:{folder}").train
    assert [train.example(i).label for i in range(len(train))] == [0, 0, 0, 1, 1]


def test_too_many_corrupt_images_end_it(photographs: Path, tmp_path: Path) -> None:
    for path in (photographs / "train").rglob("*_1.JPEG"):
        path.write_bytes(b"not an image")
    message = r"more than 1 images cannot be read, such as: cannot read .*--faults"
    with pytest.raises(DataError, match=message):
        pack(f"images:{photographs}", tmp_path / "shards", faults=1)
    pack(f"images:{photographs}", tmp_path / "shards", faults=2)
    assert len(open_data(f"shards:{tmp_path / 'shards'}").train) == 4


def test_a_pack_of_no_image_is_an_error(photographs: Path, tmp_path: Path) -> None:
    for path in (photographs / "val").rglob("*.JPEG"):
        path.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"no image of .* 6 for validation can be used, such as: "):
        pack(f"images:{photographs}", tmp_path / "shards")
    manifest = load_manifest(tmp_path / "shards")
    assert manifest is not None
    assert not manifest.is_finished


def test_what_is_passed_over_is_told(photographs: Path, tmp_path: Path) -> None:
    (photographs / "val" / "palace" / "a.heic").write_bytes(b"x")
    told = list[str]()
    packing.pack(f"images:{photographs}", tmp_path / "s", size=8, faults=0, note=told.append)
    assert told == [f"skipped in {photographs / 'val'}: 1 file .heic (palace/a.heic)"]


def test_a_folder_that_holds_something_else_is_left_alone(
    photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=f"{folder} contains other files"):
        pack("digits", folder)
    assert files(folder) == {"thesis.txt": b"mine"}
    with pytest.raises(DataError, match=r"cannot write .*thesis.txt: "):
        pack("digits", folder / "thesis.txt")
    pack(f"images:{photographs}", tmp_path / "shards")
    before = files(tmp_path / "shards")
    for source, size in ((f"images:{photographs}", 32), ("digits", SIZE)):
        with pytest.raises(
            DataError, match=r"contains another pack, of images:.* with 64 x 64 pixels"
        ):
            pack(source, tmp_path / "shards", size=size)
    assert files(tmp_path / "shards") == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "netspec pack 2"}', "\xff"])
def test_a_spoilt_pack_json_is_told(photographs: Path, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "shards"
    pack(f"images:{photographs}", folder)
    (folder / "pack.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"pack.json .*; remove .* and pack again"):
        open_data(f"shards:{folder}")


def test_whatever_pack_json_holds_is_refused_in_words_or_harmless(
    photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    pack(f"images:{photographs}", folder)
    whole = json.loads((folder / "pack.json").read_text())
    for key in whole:
        for value in (None, 3.5, {"a": 1}, ["a"], 10**40, -1, "", {"../a.tar": {}}):
            (folder / "pack.json").write_text(json.dumps({**whole, key: value}))
            try:
                open_data(f"shards:{folder}")
            except DataError as error:
                assert "pack.json" in str(error)
                continue
            assert (key, value) == ("source", "")


def test_killed_while_it_writes_it_goes_on(photographs: Path, tmp_path: Path) -> None:
    pack(f"images:{photographs}", tmp_path / "whole")
    folder = tmp_path / "shards"
    program = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from netspec.data import packing\n"
        f"packing.SHARD = {2 * 3 * SIZE * SIZE}\n"
        "replace, left = os.replace, [7]\n"
        "def dying(*paths):\n"
        "    left[0] -= 1\n"
        "    if not left[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(*paths)\n"
        "os.replace = dying\n"
        f"packing.pack(sys.argv[1], Path(sys.argv[2]), size={SIZE}, faults=0)\n"
    )
    done = forked("torch").python("-c", program, f"images:{photographs}", folder)
    assert done.returncode == -signal.SIGKILL
    (left_over,) = folder.glob(".netspec-saving-*")
    pack(f"images:{photographs}", folder)
    assert not left_over.exists()
    assert files(folder) == files(tmp_path / "whole")


def test_a_full_disk_is_told_and_leaves_no_part_of_a_shard(
    photographs: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for a disk that is full."""
    folder = tmp_path / "shards"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"cannot write .*train-000000.tar: file too large"):
            pack(f"images:{photographs}", folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(files(folder)) == ["pack.json"]
