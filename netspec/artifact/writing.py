"""Write an artifact, whole or not at all."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import IO

from netspec.artifact.manifest import MANIFEST, ROOT, Member, claimed_members
from netspec.artifact.reading import SUFFIX, content, file_ranges, plain_entry
from netspec.errors import DataError
from netspec.files.writing import NEW, OLD, beside, descriptor_of, followed, replacing, sync_folder

LARGEST_FILE = 2**31 - 2**24
"""The largest total size of the members in a single file: zip files over 2 GiB have other records.
"""

Pieces = Iterable[bytes | bytearray | memoryview]

Put = Callable[[str, Pieces], Member]
"""Write a member with this name and content; return its digest and its size."""


@contextmanager
def written(path: Path) -> Iterator[Put]:
    """Yield a function that writes members; after the block the artifact appears at ``path``.

    It is a single file if the path ends in ``.netspec``, and a folder otherwise.  Links of the path
    are followed.

    Raises:
        DataError: a file or folder exists that may not be replaced.
        OSError: the artifact cannot be written.
    """
    if descriptor_of(path) is not None:
        raise DataError(f"it is not a folder, nor a file that ends in {SUFFIX}: use one of them")
    target = followed(path)
    if path.suffix == SUFFIX:
        with replacing(target) as new, zipfile.ZipFile(new, "w") as archive:
            yield lambda name, pieces: _entry(archive, name, pieces)
        return
    _require_replaceable(target)
    with beside(target) as folder:
        new = folder / NEW
        new.mkdir()
        yield lambda name, pieces: _file(new / name, pieces)
        if target.exists():
            shutil.copymode(target, new)
        for inner in (*filter(Path.is_dir, new.iterdir()), new):
            sync_folder(inner)
        _swap(new, target, folder / OLD)
        sync_folder(target.parent)


def _require_replaceable(target: Path) -> None:
    """Raise DataError if a path is a file, or a folder with anything else than an artifact."""
    if not target.exists():
        return
    if not target.is_dir():
        raise DataError(f"it is a file: use a folder, or a file that ends in {SUFFIX}")
    if not os.listdir(target):
        return
    try:
        members = file_ranges(target)
        is_ours = claimed_members(bytes(content(members, MANIFEST))) == {*members} - {
            MANIFEST,
            ROOT,
        }
    except DataError:
        is_ours = False
    if not is_ours:
        raise DataError("it is a folder with other files: remove it, or use another folder")


def _swap(new: Path, target: Path, old: Path) -> None:
    """Replace the folder ``target`` by ``new``; if this fails, ``target`` is unchanged.

    Args:
        new: the new folder.
        target: where it is moved to.
        old: a free path on the same disk, for the old folder between two renames.
    """
    # A rename cannot replace a folder that is not empty.  Without the exchange there is a moment
    # without a folder at ``target``; the old one is then in ``old``, from where it is restored.
    if target.exists() and _exchange(new, target):
        return
    try:
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders atomically, which only Linux supports; return True if it was done."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE in Linux's header files
    done: int = rename(here, os.fsencode(first), here, os.fsencode(second), exchange)
    return done == 0


def _file(path: Path, pieces: Pieces) -> Member:
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        member = _write(file, pieces)
        file.flush()
        os.fsync(file.fileno())
    return member


def _entry(archive: zipfile.ZipFile, name: str, pieces: Pieces) -> Member:
    before = sum(entry.file_size for entry in archive.infolist())
    with archive.open(plain_entry(name), "w") as file:
        return _write(file, pieces, at_most=LARGEST_FILE - before)


def _write(file: IO[bytes], pieces: Pieces, at_most: float = inf) -> Member:
    digest, size = sha256(), 0
    for piece in pieces:
        size += len(piece)
        if size > at_most:
            raise DataError(
                f"a single file can have up to 2 GiB: use a folder (a name without {SUFFIX})"
            )
        digest.update(piece)
        file.write(piece)
    return Member(digest.hexdigest(), size)
