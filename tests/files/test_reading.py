from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from netspec.errors import DataError
from netspec.files.reading import opened, read_named, read_plain


def link(path: Path) -> None:
    path.with_name("aim").write_bytes(b"x")
    path.symlink_to("aim")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link, "it is a link"),
        (circle, "it is a link"),
        (Path.mkdir, "is a directory"),
        (os.mkfifo, "it is not a plain file"),
        (lambda path: None, "no such file"),
    ],
)
def test_only_plain_files_are_read(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    make(path)
    with pytest.raises(DataError, match=f"cannot read {path}: {reason}"):
        read_plain(path, 10)


def test_a_device_is_no_plain_file() -> None:
    with pytest.raises(DataError, match="cannot read /dev/zero: it is not a plain file"):
        read_plain(Path("/dev/zero"), 10)


def test_a_file_in_a_folder_that_is_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"x")
    (tmp_path / "link").symlink_to("a")
    assert read_plain(tmp_path / "link/b", 1) == b"x"


@pytest.mark.parametrize("read", [read_plain, read_named])
def test_a_size_is_a_bound(read: Callable[[Path, int], bytes], tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(3_000_000))
    assert read(path, 3_000_000) == bytes(3_000_000)
    with pytest.raises(DataError, match="it has more than 2,999,999 bytes"):
        read(path, 2_999_999)


def test_what_a_person_names_is_followed_and_bounded(tmp_path: Path) -> None:
    link(tmp_path / "a")
    assert read_named(tmp_path / "a", 10) == b"x"
    reading, writing = os.pipe()
    os.write(writing, b"xyz")
    os.close(writing)
    assert read_named(Path(f"/dev/fd/{reading}"), 10) == b"xyz"
    os.close(reading)
    with pytest.raises(DataError, match="/dev/zero: it has more than 10 bytes"):
        read_named(Path("/dev/zero"), 10)


def test_an_open_file_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    (tmp_path / "b").write_bytes(b"new")
    with opened(path) as file:
        (tmp_path / "b").replace(path)
        assert file.read() == b"old"
