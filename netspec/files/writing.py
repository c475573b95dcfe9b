"""Writing files and folders: whole or not at all.

1. Content is first written to a work folder next to its destination.  Once all of it is on the disk
   it replaces the destination by a rename, which is atomic.  Readers, and the disk after a power
   failure, have either the old file or the new one.  After an error, Ctrl-C or a full disk the old
   file is unchanged, and no other file is left.
2. A work folder has a random name (``.netspec-saving-`` and eight characters), so no other thread,
   process or machine uses it.  Its process holds a lock in it.  Each save removes the work folders
   at the same place whose lock is free because their process was killed.  It removes no other file.
3. A file inside a folder of netspec (a run, an artifact, a comparison, a pack, the cache) may only
   replace a plain file.  A link, folder, pipe or device in its place is an error.
4. A file that a user names may be a link: the file that it points to is replaced, and the link is
   kept.  It may be a pipe, a terminal, ``/dev/null`` or a descriptor such as ``/dev/stdout``: the
   content is written to it.  Other devices are an error.
5. The new file has the permissions and the owner of the old one.  A file without write permission
   is not replaced.
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
"""Names in a work folder: the file that its process locks, the new content, and the old content
while it is being replaced.  The old content may be the only copy, so a work folder that has it is
never removed."""

STDOUT, STDERR = 1, 2
_DESCRIPTOR = re.compile(r"/dev/(?P<name>stdout|stderr)|(?:/dev|/proc/self)/fd/(?P<number>\d{1,9})")


# -------------------------------------------------------------------------------- files and folders


def write_whole(path: Path, content: bytes) -> None:
    """Write a file inside a folder of netspec, whole or not at all (rule 3).

    Raises:
        DataError: the file cannot be written, or the path is a link, a folder, a pipe or a device.
    """
    with naming(path), replacing(path) as temporary:
        temporary.write_bytes(content)


def write_named(path: Path, content: bytes) -> None:
    """Write a file that a user named, whole or not at all, or to a pipe or device (rule 4).

    Raises:
        DataError: the file cannot be written.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files that a user named; none is replaced before all are complete.

    The last one is replaced first.

    Raises:
        DataError: a file cannot be written.
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
    """Return True if a path is a pipe, a terminal, ``/dev/null`` or a descriptor (rule 4).

    No other file can be written next to such a path.
    """
    return descriptor_of(path) is not None or _is_stream(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file to write to; after the block it replaces ``path``.

    The block may also replace the empty file by another one with the same name.

    Raises:
        OSError: the file cannot be written, or ``path`` is a link, a folder, a pipe or a device.
    """
    before = _replaceable(path)
    with beside(path) as folder:
        temporary = folder / NEW
        temporary.touch()
        mode = (temporary.stat() if before is None else before).st_mode
        yield temporary
        # The order matters: content on the disk first, then the rename, then the folder's entry.
        # Otherwise a power failure could leave the new name with empty content.
        with temporary.open("rb") as file:
            if before is not None and sys.platform != "win32":
                with suppress(OSError):  # only root may give a file to another
                    os.chown(file.fileno(), before.st_uid, before.st_gid)
            os.chmod(temporary, stat.S_IMODE(mode))
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)


def followed(path: Path) -> Path:
    """Return the path that the links of a path lead to, whether or not it exists.

    Raises:
        OSError: the links form a cycle.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def descriptor_of(path: Path) -> int | None:
    """Return the descriptor of a path such as ``/dev/stdout``; None for other paths."""
    match = _DESCRIPTOR.fullmatch(str(path))
    if match is None:
        return None
    names = {"stdout": STDOUT, "stderr": STDERR}
    return names[match["name"]] if match["name"] else int(match["number"])


def sync_folder(folder: Path) -> None:
    """Write the entries of a folder to the disk, if the system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Convert an OSError of the block to a DataError that names the path."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {reason_of(error)}") from None


def _is_stream(path: Path) -> bool:
    """Return True if a path, with links followed, is a pipe, a terminal or ``/dev/null``."""
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
    """Return the status of the plain file at a path, None if there is no file.

    Raises:
        OSError: the path is not a plain file, or may not be written.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISLNK(status.st_mode):
        raise OSError(None, "it is a link: remove it", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "it is not a plain file: use another", str(path))
    # A rename needs no write permission for the old file, only for its folder: ask for it here.
    with path.open("r+b"):
        return status


# ------------------------------------------------------------------------------------- work folders


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a new work folder next to a path, and remove it after the block.

    It is on the same disk as the path, because a rename between disks is not atomic.  It contains
    only :data:`LOCK`.  Work folders of killed processes at the same place are removed first.

    Raises:
        OSError: the folder cannot be created.
    """
    sweep(path.parent)
    folder, lock = _work_folder(path.parent)
    with lock:
        try:
            yield folder
        finally:
            _remove(folder)


def sweep(folder: Path) -> None:
    """Remove the work folders of killed processes in a folder.

    A work folder is removed if its lock is free and it belongs to this user, unless it contains
    :data:`OLD`, which may be the only copy.
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
        with suppress(OSError):  # an empty folder: its process was killed before it made the lock
            left.rmdir()


def _work_folder(parent: Path) -> tuple[Path, BinaryIO]:
    """Create a work folder; return it, and its open lock file."""
    while True:
        # Between mkdtemp and the lock, another process may sweep the folder; then try again.
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with suppress(FileNotFoundError):
            lock = (folder / LOCK).open("xb")
            _locks(lock, wait=True)
            if (folder / LOCK).exists():
                return folder, lock
            lock.close()


def _open_lock(path: Path) -> BinaryIO:
    """Open an existing lock file; raise OSError if it is a link."""
    flags = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK"))
    return open(path, "r+b", buffering=0, opener=lambda name, mode: os.open(name, mode | flags))


def _locks(file: BinaryIO, *, wait: bool) -> bool:
    """Lock a file until it is closed; return True if it is locked now."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has the lock, or the file system does not support locks
        return False
    return True


def _remove(folder: Path) -> None:
    if not (folder / OLD).exists():
        shutil.rmtree(folder, ignore_errors=True)
