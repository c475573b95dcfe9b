"""Writing files whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
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
