"""Writing files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netspec.errors import DataError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it keeps its permissions, and a link goes on leading to it.

    What is no regular file, such as a pipe or ``/dev/stdout``, is written into, not replaced.

    Raises:
        DataError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        mode = None
        if target.is_symlink():  # it leads back to itself; opening it tells so
            target.open("rb").close()
        if target.exists() and not target.is_file():
            target.write_bytes(content)
            return
        if target.exists():
            with target.open("r+b"):  # who may not write a file may still put another in its place
                mode = target.stat().st_mode
        temporary.write_bytes(content)
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot write {path}: {reason}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write a large file to; what was written takes its place.

    It does so once the block is done and all of it is on the disk, so that a machine that loses
    its power has the old file or the new one.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fchmod(file.fileno(), 0o666 & ~umask())  # whatever the writer thought best
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def umask() -> int:
    """The permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
