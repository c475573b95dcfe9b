"""Small input takes little memory, whatever it claims."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from netspec.data import images, open_data
from netspec.errors import DataError
from tests.data import bombs
from tests.data.bombs import MIB, member

MOST = 1000 * MIB
"""Bytes at the peak, beyond what Python and its packages take."""

IMAGE = """
from netspec.data.images import read_image
import PIL.Image; PIL.Image.init()
def work(path): read_image(path, path)
"""
DATA = """
from netspec.data.opening import open_data
def work(source):
    for split in open_data(source):
        split.digest, split.example(0)
"""
SHARDS = f"import webdataset\n{DATA}"
MEASURED = """
import json, sys
from netspec.errors import DataError
{work}
def resident(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))
for source in sys.argv[1:]:
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")  # the peak is what is resident now
    said, before = "", resident("VmRSS")
    try:
        work(source)
    except DataError as error:
        said = str(error)
    print(json.dumps([said, resident("VmHWM") - before]))
"""


def measured(work: str, givens: list[str]) -> list[tuple[str, int]]:
    """What is said of each of some inputs in one other process, and the bytes that it takes."""
    command = [sys.executable, "-c", MEASURED.format(work=work), *givens]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def test_idx_files(tmp_path: Path) -> None:
    blanks = bombs.zeros(2048)
    cases = [
        (IMAGES, blanks, "begins with 00 00 00 00"),
        (IMAGES, gzip.compress(bombs.idx(60_000, 28, 28)) + blanks, "is too long: more than 47,0"),
        (
            IMAGES,
            gzip.compress(bombs.idx(2048 * MIB // 784, 28, 28)) + blanks,
            "would unpack to 2,147,483,424 bytes, more than the limit of 276,",
        ),
        (IMAGES, gzip.compress(bombs.idx(2**31, 2**31, 2**31)), "would unpack to 9,903,520,314,2"),
        (IMAGES, bombs.idx(2**31, 28, 28) + bytes(100), "is truncated: 116 bytes, not 1,683,627,"),
        (
            LABELS,
            gzip.compress(bombs.idx(2**31)) + blanks,
            "would unpack to 2,147,483,656 bytes, more than",
        ),
    ]
    folders = [
        bombs.mnist(tmp_path / f"{number}", name, content)
        for number, (name, content, _) in enumerate(cases)
    ]
    results = measured(DATA, [f"mnist:{folder}" for folder in folders])
    for (name, _, said), folder, (told, peak) in zip(cases, folders, results, strict=True):
        assert f"{folder / name}.gz {said}" in told
        assert peak < 100 * MIB, told


SIDE = 8192
"""Of the largest square image that is read: 2**26 pixels."""


def written(folder: Path, contents: list[bytes]) -> list[str]:
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
    return [str(folder / str(number)) for number in range(len(contents))]


def test_images_of_too_many_pixels(tmp_path: Path) -> None:
    contents = [
        bombs.png(13_300, 13_300, bits=1),  # below Pillow's own limit
        bombs.png(SIDE + 1, SIDE, bits=1),
        bombs.png(100_000, 1_000, bits=1, colours=3),
        bombs.tiff(13_300, 13_300),
        bombs.gif(13_300, 13_300),
        bombs.gif(65_535, 65_535),
        bombs.bmp(13_300, 13_300),
        bombs.bmp(2**31 - 1, 2**31 - 1),
        bombs.ppm(13_300, 13_300),
        bombs.png(8, 8, chunks=bombs.texts(200)),
    ]
    assert max(map(len, contents)) < MIB
    results = measured(IMAGE, written(tmp_path, contents))
    for number, (told, peak) in enumerate(results):
        assert told.startswith(f"cannot read {tmp_path / str(number)}: "), number
        assert peak < 100 * MIB, told
    assert results[1][0].endswith(
        "it has 8,193 x 8,192 pixels, more than 67,108,864 in total: scale it down"
    )


def test_a_image_of_the_most_pixels(tmp_path: Path) -> None:
    content = bombs.png(SIDE, SIDE, bits=1, colours=3)  # a palette, and transparent
    assert len(content) < MIB
    ((told, peak),) = measured(IMAGE, written(tmp_path, [content]))
    assert told == ""
    assert peak < MOST


@pytest.mark.slow
def test_images_of_the_most_pixels_of_each_kind(tmp_path: Path) -> None:
    kinds = [(1, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6)]
    contents = [bombs.png(SIDE, SIDE, bits=bits, colours=colours) for bits, colours in kinds]
    results = measured(IMAGE, written(tmp_path, contents))
    for kind, (told, peak) in zip(kinds, results, strict=True):
        assert told == ""
        assert peak < MOST, kind


def test_other_formats_of_pillow_are_not_tried(tmp_path: Path) -> None:
    for name in ("EPS", "ICO", "ICNS"):
        assert name not in images.FORMATS
    path = tmp_path / "image.png"
    Image.new("RGB", (16, 16)).save(path, "ICO")
    with pytest.raises(DataError, match=f"cannot read {path}: it is not an image "):
        images.read_image(path, str(path))


PNG = bombs.png(8, 8)
GOOD = member("a.png", PNG), member("a.cls", b"0")


def long_names(count: int) -> list[bombs.Member]:
    """Headers each of which only says what the next one is called."""
    members = []
    for _ in range(count):
        info, data = member("././@LongLink", b"a.png\0")
        info.type = tarfile.GNUTYPE_LONGNAME
        members.append((info, data))
    return members


def extended(size: int) -> bombs.Member:
    """A pax header that claims a size."""
    info, data = member("pax", b"", size)
    info.type = tarfile.XHDTYPE
    return info, data


def test_shards(tmp_path: Path) -> None:
    cases: list[tuple[list[bombs.Member], str]] = [
        ([*GOOD], ""),
        ([member("a.png", PNG), member("a.cls", b"99999")], ""),
        ([member("a.png", PNG), member("a.cls", b"999999999")], "the label of a is 999,999,999"),
        ([member("a.png", PNG), member("a.cls", b"100000")], "the label of a is 100,000"),
        ([member("a.png", PNG, 2**40), GOOD[1]], "is truncated or corrupt"),
        ([member("a.png", PNG, 2**70), GOOD[1]], "is truncated or corrupt"),
        ([member("a.png", PNG, -(2**40)), GOOD[1]], "invalid argument"),
        ([GOOD[0], member("a.cls", b"0", 2**40)], "is truncated or corrupt"),
        ([GOOD[0], member("a.cls", b"0" * 3 * MIB)], "a.cls has 3,145,728 bytes"),
        ([bombs.sparse("a.png", 2**32), GOOD[1]], "a.png is a sparse file"),
        ([GOOD[0], bombs.sparse("a.cls", 2**33 - 1)], "a.cls is a sparse file"),
        ([*long_names(20_000), *GOOD], "too many headers in a row"),
        ([extended(2**35), *GOOD], "is truncated or corrupt"),
        ([extended(2**70), *GOOD], "is truncated or corrupt"),
    ]
    folders = [tmp_path / str(number) for number in range(len(cases))]
    for folder, (members, _) in zip(folders, cases, strict=True):
        folder.mkdir()
        bombs.shard(folder / "val-0.tar", *GOOD)
        bombs.shard(folder / "train-0.tar", *members)
    results = measured(SHARDS, [f"shards:{folder}" for folder in folders])
    for folder, (_, said), (told, peak) in zip(folders, cases, results, strict=True):
        assert said in told
        assert (str(folder / "train-0.tar") in told) == bool(said)
        assert peak < 100 * MIB, said


def test_cifar_files_that_are_too_long_are_not_read(tmp_path: Path) -> None:
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**33)  # holes take no room on the disk
    (tmp_path / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    ((told, peak),) = measured(DATA, [f"cifar10:{tmp_path}"])
    assert "data_batch_1.bin is too long: 8,589,934,592 bytes, not 30,730,000" in told
    assert peak < 100 * MIB


@pytest.mark.parametrize(
    "pattern",
    [
        "{0..9999999999}",
        f"{{0..{'9' * 5000}}}",
        "{0..-999999..2}",
        "{a,b}" * 40,
        "{a..z}" * 40,
        "{{1..9999}{1..9999},x}",
    ],
)
def test_a_pattern_does_not_name_shards_without_bound(pattern: str) -> None:
    with pytest.raises(DataError, match="the pattern names more than 100,000 shards: name shards"):
        open_data(f"shards:/nowhere/{pattern}-train.tar")


@pytest.mark.parametrize("pattern", ["{train-{0..999..3},val-{a..c}}.tar", "{0..99}{a,b}val.tar"])
def test_a_pattern_of_many_shards_is_expanded(pattern: str) -> None:
    with pytest.raises(DataError, match=r"missing shards: /nowhere/"):
        open_data(f"shards:/nowhere/{pattern}")


@pytest.mark.parametrize("shape", [(2**32 - 1, 0, 2**32 - 1), (0, 2**32 - 1, 2**32 - 1)])
def test_a_shape_without_pixels_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    for part in ("train", "t10k"):
        head = b"".join(size.to_bytes(4, "big") for size in shape)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + head)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + bytes(4))
    with pytest.raises(DataError, match="has no images"):
        open_data(f"mnist:{tmp_path}").train.example(0)


@pytest.mark.parametrize("kind", ["mnist", "cifar10", "cifar100", "images", "shards"])
def test_a_home_that_there_is_none_of_is_told(kind: str) -> None:
    with pytest.raises(DataError, match="the system has no home folder for ~nobody-of-this-name"):
        open_data(f"{kind}:~nobody-of-this-name/data")


@pytest.mark.parametrize("kind", ["mnist", "cifar10", "cifar100", "images", "shards"])
def test_a_name_that_is_too_long_is_told(kind: str) -> None:
    with pytest.raises(DataError, match=r"file name too long|missing shards"):
        open_data(f"{kind}:/{'a' * 300}")
