"""The members of an artifact: a folder's files, or stretches of a zip that compresses nothing."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from netspec.artifact.manifest import MANIFEST
from netspec.artifact.messages import AGAIN
from netspec.errors import DataError
from netspec.files.reading import fill
from netspec.files.reading import opened as plain_file

SUFFIX = ".netspec"
"""The end of the name of an artifact that is a single file."""

FOLDERS = ("files", "kernels")

MOST_MEMBERS = 20_000
LARGEST, LARGEST_MANIFEST = 2**28, 2**22
"""Bytes of a member that is read as a whole."""
LARGEST_DIRECTORY = 2**22
"""Bytes of a zip's directory."""

_END = struct.Struct("<4s4H2LH")
"""The end of a zip: a mark, two numbers of disks, the entries on this one and in all, size and
offset of the directory, the length of a comment."""

_ENTRY = struct.Struct("<4s6H3L5H2L")
"""The begin of an entry of a zip's directory: a mark, who made it, what it needs, flags, the way it
is compressed, time, date, check sum, two sizes, the lengths of a name, of extras and of a comment,
number of a disk, two kinds of attributes, and where it lies."""

_DAY = 1 << 5 | 1
"""The first of January 1980, which stands for no date."""

_WIDE = b"PK\x06\x07"
"""The mark of the record before it in a zip of more than 4 GiB, 20 bytes long."""


class FileRange(NamedTuple):
    """The bytes of a member: the file, the first byte and the number of bytes."""

    path: Path
    start: int
    size: int


FileRanges = Mapping[str, FileRange]
"""The members of an artifact."""


@contextmanager
def opened(file_range: FileRange) -> Iterator[BinaryIO]:
    """Open a member, to be read from its beginning.

    Raises:
        OSError: it cannot be opened, or is no longer a plain file.
    """
    with plain_file(file_range.path) as file:
        file.seek(file_range.start)
        yield file


def content(members: FileRanges, name: str) -> bytearray:
    """Return a member as a whole.

    Raises:
        DataError: it is larger than any that netspec writes.
        EOFError: it became shorter meanwhile.
    """
    file_range, at_most = members[name], LARGEST_MANIFEST if name == MANIFEST else LARGEST
    if file_range.size > at_most:
        raise DataError(f"{name} has {file_range.size:,} bytes, more than {at_most:,}: {AGAIN}")
    data = bytearray(file_range.size)
    with opened(file_range) as file:
        fill(file, memoryview(data))
    return data


def is_artifact(path: str | Path) -> bool:
    """Return whether a path is to be read as an artifact, and not as a spec."""
    return Path(path).suffix == SUFFIX or os.path.isfile(Path(path) / MANIFEST)


def file_ranges(path: Path) -> dict[str, FileRange]:
    """Return the members of a folder or a file.

    Raises:
        DataError: it cannot be an artifact.
        OSError: it cannot be read.
    """
    real = Path(os.path.realpath(path))
    members = _in_folder(real) if stat.S_ISDIR(real.stat().st_mode) else _in_zip(real)
    if MANIFEST not in members:
        raise DataError(f"it is no artifact: there is no {MANIFEST} in it")
    return members


def _in_folder(root: Path) -> dict[str, FileRange]:
    members: dict[str, FileRange] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if name in FOLDERS and entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    members[name] = FileRange(root / name, 0, size)
                else:
                    raise DataError(f"{name!r} in it is no file of an artifact")
                if len(members) > MOST_MEMBERS:
                    raise DataError(
                        f"it is no artifact: more than {MOST_MEMBERS:,} files are in it"
                    )
    return members


def _in_zip(path: Path) -> dict[str, FileRange]:
    """Return the members of a zip; all bytes but their contents must be as netspec writes them."""
    not_ours = DataError(
        f"it is no artifact: neither a folder nor a file that netspec wrote ({AGAIN}); an archive "
        "that another program packed can be unpacked into a folder"
    )
    with opened(FileRange(path, 0, 0)) as file:
        length = file.seek(0, os.SEEK_END)
        tail = _tail(file, length)
        if not tail:
            raise not_ours
        *_, entries, size, offset, _ = _END.unpack(tail[-_END.size :])
        end = _END.pack(b"PK\x05\x06", 0, 0, entries, entries, size, offset, 0)
        if (
            tail[-_END.size :] != end
            or tail.startswith(_WIDE)
            or entries > MOST_MEMBERS
            or size > LARGEST_DIRECTORY
        ):
            raise not_ours
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
            directory = b"".join(map(_directory_entry, infos))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error):
            raise not_ours from None
        file.seek(offset)
        if file.read(size) != directory or len(infos) != entries:
            raise not_ours
        members, at = {}, 0
        for info in infos:
            head = info.FileHeader(zip64=False)
            file.seek(at)
            if info.header_offset != at or file.read(len(head)) != head or info.filename in members:
                raise not_ours
            members[info.filename] = FileRange(path, at + len(head), info.file_size)
            at += len(head) + info.file_size
        if at != offset:
            raise not_ours
    return members


def _tail(file: BinaryIO, length: int) -> bytes:
    """Return the end of a zip and the 20 bytes before it, which any zip with an entry has."""
    count = _END.size + 20
    if length < count:
        return b""
    file.seek(length - count)
    return file.read(count)


def plain_entry(name: str) -> zipfile.ZipInfo:
    """Return a zip's entry as netspec writes it: uncompressed, without date, owner, permissions."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _directory_entry(entry: zipfile.ZipInfo) -> bytes:
    """Return the part of a zip's directory that describes an entry."""
    name, plain = entry.filename.encode(), plain_entry(entry.filename)
    made_by = plain.create_system << 8 | plain.create_version
    sizes = entry.CRC, entry.file_size, entry.file_size
    lengths = len(name), 0, 0
    fields = 0, 0, plain.external_attr, entry.header_offset
    needs = plain.extract_version
    return (
        _ENTRY.pack(b"PK\x01\x02", made_by, needs, 0, 0, 0, _DAY, *sizes, *lengths, *fields) + name
    )
