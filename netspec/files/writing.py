"""Writing files and folders: whole or not at all, by one set of rules.

1. What is written lies in a folder of its own, beside its place, until all of it is on the disk;
   then it takes its place in one step.  A reader, and a machine that loses its power, has the old
   file or the new one.  An error, Ctrl-C and a full disk leave the old one, and nothing else.
2. That folder has a random name (``.netspec-saving-`` and eight characters), which no other thread,
   process or machine shares.  It is locked as long as its process lives; each save removes those
   in the same place whose process was killed.  No other file is ever removed.
3. A file in a folder of ours (a run, an artifact, a comparison, a pack, the cache) takes the place
   of a plain file or of nothing: links, folders, pipes and devices are refused.
4. A file that a person names may be a link, which goes on leading to it; a pipe, a terminal or
   ``/dev/null``, which is written into; or an open descriptor such as ``/dev/stdout``, likewise.
   Other devices are refused.
5. Permissions and owner stay those of the file that was there.  A file that its owner may not
   write is not replaced.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from netspec.errors import DataError
from netspec.files.reading import reason_of

PREFIX = ".netspec-saving-"
_OURS = re.compile(re.escape(PREFIX) + "[a-z0-9_]{8}")
LOCK, NEW, OLD = "lock", "new", "old"
"""In a work folder: the file that its process holds, what is written, and the only copy of what was
to be replaced, with which it is not removed."""

STDOUT, STDERR = 1, 2
_DESCRIPTOR = re.compile(r"/dev/(?P<name>stdout|stderr)|(?:/dev|/proc/self)/fd/(?P<number>\d{1,9})")


# -------------------------------------------------------------------------------- files and folders


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in a folder of ours, whole or not at all.

    Raises:
        DataError: it cannot be written, or a link, a folder, a pipe or a device is there.
    """
    with naming(path), replacing(path) as temporary:
        temporary.write_bytes(content)


def write_named(path: Path, content: bytes) -> None:
    """Write a file that a person named, whole or not at all, or into what is no file (rule 4).

    Raises:
        DataError: it cannot be written.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that a person named: all are complete before the first takes its place.

    The last one takes its place first.

    Raises:
        DataError: one cannot be written.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(naming(path))
            if (descriptor := descriptor_of(path)) is not None:
                stack.enter_context(os.fdopen(os.dup(descriptor), "wb")).write(content)
            elif _is_stream(path):
                stack.enter_context(path.open("wb")).write(content)
            else:
                stack.enter_context(replacing(followed(path))).write_bytes(content)


def is_written_into(path: Path) -> bool:
    """Return whether a path is what is written into (rule 4), beside which nothing can lie."""
    return descriptor_of(path) is not None or _is_stream(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file to write to; it takes the place of ``path`` afterwards.

    The block may replace that file by another of the same name.

    Raises:
        OSError: it cannot be written, or a link, a folder, a pipe or a device is there.
    """
    before = _replaceable(path)
    with beside(path) as folder:
        temporary = folder / NEW
        temporary.touch()
        mode = (temporary.stat() if before is None else before).st_mode
        yield temporary
        with temporary.open("rb") as file:
            if before is not None and sys.platform != "win32":
                with suppress(OSError):  # only root may give a file to another
                    os.chown(file.fileno(), before.st_uid, before.st_gid)
            os.chmod(temporary, stat.S_IMODE(mode))
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)


def followed(path: Path) -> Path:
    """Return the path that a path with links leads to, whether something is there or not.

    Raises:
        OSError: it leads back to itself.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def descriptor_of(path: Path) -> int | None:
    """Return the open descriptor that a path such as ``/dev/stdout`` stands for, if it does."""
    match = _DESCRIPTOR.fullmatch(str(path))
    if match is None:
        return None
    names = {"stdout": STDOUT, "stderr": STDERR}
    return names[match["name"]] if match["name"] else int(match["number"])


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an error of the system into one that says what cannot be written.

    Raises:
        DataError: there was one.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {reason_of(error)}") from None


def _is_stream(path: Path) -> bool:
    """Return whether a path leads to a pipe, a terminal or ``/dev/null``."""
    try:
        status = path.stat()
        if not stat.S_ISCHR(status.st_mode):
            return stat.S_ISFIFO(status.st_mode)
        return os.path.samestat(status, os.stat(os.devnull)) or _is_terminal(path)
    except OSError:
        return False


def _is_terminal(device: Path) -> bool:
    flags = sum(getattr(os, flag, 0) for flag in ("O_NOCTTY", "O_NONBLOCK"))
    descriptor = os.open(device, os.O_WRONLY | flags)
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def _replaceable(path: Path) -> os.stat_result | None:
    """Return the state of the plain file that is to be replaced, None if there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISLNK(status.st_mode):
        raise OSError(None, "a link is there: remove it", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "what is there is not a plain file: name another", str(path))
    with path.open("r+b"):  # who may not write a file may still put another in its place
        return status


# ------------------------------------------------------------------------------------- work folders


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a folder on the same disk as a path, which nobody else uses; it goes afterwards.

    It is empty but for :data:`LOCK`.  What a killed process left in the same place goes as well.

    Raises:
        OSError: it cannot be made.
    """
    sweep(path.parent)
    folder, lock = _work_folder(path.parent)
    with lock:
        try:
            yield folder
        finally:
            _remove(folder)


def sweep(folder: Path) -> None:
    """Remove the work folders in a folder that killed processes left.

    A work folder goes if this user made it and no process holds it, unless the only copy of
    something is in it.
    """
    try:
        with os.scandir(folder) as entries:
            folders = [
                Path(entry.path)
                for entry in entries
                if _OURS.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return
    for left in folders:
        with suppress(OSError), _open_lock(left / LOCK) as lock:
            if _locks(lock, wait=False) and os.fstat(lock.fileno()).st_uid == os.geteuid():
                _remove(left)
        with suppress(OSError):  # of a process that was killed before it held it
            left.rmdir()


def _work_folder(parent: Path) -> tuple[Path, BinaryIO]:
    """Make a work folder; return it, and the open file that holds it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with suppress(FileNotFoundError):  # it was swept before it was held
            lock = (folder / LOCK).open("xb")
            _locks(lock, wait=True)
            if (folder / LOCK).exists():
                return folder, lock
            lock.close()


def _open_lock(path: Path) -> BinaryIO:
    """Open a lock that is there, and not what a link in its place leads to."""
    flags = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK"))
    return open(path, "r+b", buffering=0, opener=lambda name, mode: os.open(name, mode | flags))


def _locks(file: BinaryIO, *, wait: bool) -> bool:
    """Lock a file until it is closed; return whether that was done."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or the disk has no locks
        return False
    return True


def _remove(folder: Path) -> None:
    if not (folder / OLD).exists():
        shutil.rmtree(folder, ignore_errors=True)
