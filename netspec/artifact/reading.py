"""The members of an artifact: the files of a folder, or parts of an uncompressed zip file."""

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
"""The suffix of an artifact that is a single file."""

FOLDERS = ("files", "kernels")

MOST_MEMBERS = 20_000
LARGEST, LARGEST_MANIFEST = 2**28, 2**22
"""The largest sizes, in bytes, of a member that is read as a whole, and of the manifest."""
LARGEST_DIRECTORY = 2**22
"""The largest size, in bytes, of a zip file's directory."""

_END = struct.Struct("<4s4H2LH")
"""The end record of a zip file: signature, two disk numbers, the number of entries on this disk and
in all, size and offset of the directory, the length of the comment."""

_ENTRY = struct.Struct("<4s6H3L5H2L")
"""The fixed part of an entry of a zip file's directory: signature, version made by, version needed,
flags, compression, time, date, CRC, compressed and full size, lengths of name, extra field and
comment, disk number, internal and external attributes, offset of the member."""

_DAY = 1 << 5 | 1
"""1 January 1980 in the format of a zip file, which means no date."""

_WIDE = b"PK\x06\x07"
"""The signature of the record, 20 bytes long, before the end record of a zip file of over 4 GiB."""


class FileRange(NamedTuple):
    """Where a member is: the file, the offset of its first byte, and its size in bytes."""

    path: Path
    start: int
    size: int


FileRanges = Mapping[str, FileRange]
"""The members of an artifact, by name."""


@contextmanager
def opened(file_range: FileRange) -> Iterator[BinaryIO]:
    """Open a file at the first byte of a member.

    Raises:
        OSError: the file cannot be opened, or is no longer a plain file.
    """
    with plain_file(file_range.path) as file:
        file.seek(file_range.start)
        yield file


def content(members: FileRanges, name: str) -> bytearray:
    """Return the content of a member.

    Raises:
        DataError: it is larger than any member that netspec writes.
        EOFError: the file became shorter.
    """
    file_range, at_most = members[name], LARGEST_MANIFEST if name == MANIFEST else LARGEST
    if file_range.size > at_most:
        raise DataError(f"{name} has {file_range.size:,} bytes, more than {at_most:,}: {AGAIN}")
    data = bytearray(file_range.size)
    with opened(file_range) as file:
        fill(file, memoryview(data))
    return data


def is_artifact(path: str | Path) -> bool:
    """Return True if a path is an artifact by its suffix or content, False if it may be a spec."""
    return Path(path).suffix == SUFFIX or os.path.isfile(Path(path) / MANIFEST)


def file_ranges(path: Path) -> dict[str, FileRange]:
    """Return where the members of an artifact are, by name.

    Raises:
        DataError: the folder or file is not an artifact.
        OSError: it cannot be read.
    """
    real = Path(os.path.realpath(path))
    members = _in_folder(real) if stat.S_ISDIR(real.stat().st_mode) else _in_zip(real)
    if MANIFEST not in members:
        raise DataError(f"it is not an artifact: it does not contain {MANIFEST}")
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
                    raise DataError(f"it contains {name!r}, which is not a file of an artifact")
                if len(members) > MOST_MEMBERS:
                    raise DataError(
                        f"it is not an artifact: it contains more than {MOST_MEMBERS:,} files"
                    )
    return members


def _in_zip(path: Path) -> dict[str, FileRange]:
    """Return the members of a zip file.

    All bytes except the contents must be exactly those that netspec writes.  Then the file cannot
    contain anything that the digests do not cover, and all programs see the same members.
    """
    not_ours = DataError(
        f"it is not an artifact: it is neither a folder nor a file that netspec wrote; {AGAIN}, or "
        "unpack an archive of another program into a folder"
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
    """Return the end record of a zip file and the 20 bytes before it; empty if it is too short."""
    count = _END.size + 20
    if length < count:
        return b""
    file.seek(length - count)
    return file.read(count)


def plain_entry(name: str) -> zipfile.ZipInfo:
    """Return an entry of a zip file as netspec writes it: uncompressed, without date and owner.

    So the bytes of an artifact depend only on its contents.
    """
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _directory_entry(entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes that describe an entry in the directory that netspec writes."""
    name, plain = entry.filename.encode(), plain_entry(entry.filename)
    made_by = plain.create_system << 8 | plain.create_version
    sizes = entry.CRC, entry.file_size, entry.file_size
    lengths = len(name), 0, 0
    fields = 0, 0, plain.external_attr, entry.header_offset
    needs = plain.extract_version
    return (
        _ENTRY.pack(b"PK\x01\x02", made_by, needs, 0, 0, 0, _DAY, *sizes, *lengths, *fields) + name
    )
