"""Files of data sets: read, or missed with a message that says which and where they go."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from netspec.errors import DataError
from netspec.files.reading import reason_of


def require(folder: Path, names: Iterable[str], advice: str) -> None:
    """See that files are there.

    Raises:
        DataError: some are not; the message names all of them and ends with the advice.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        where = folder if folder.is_dir() else f"{folder}, which is no folder"
        raise DataError(f"missing {', '.join(missing)} in {where}: {advice}")


def read_exactly(path: Path, size: int, advice: str) -> bytes:
    """Return the bytes of a file that has so many.

    Raises:
        DataError: it cannot be read, or has more or fewer, which are not read.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise wrong_size(path, found, size, advice)
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file or folder that the system does not let us read."""
    return DataError(f"cannot read {path}: {reason_of(error)}")


def wrong_size(path: Path, found: int, expected: int, advice: str) -> DataError:
    """The error for a file that has not the number of bytes that it must have."""
    how = "truncated" if found < expected else "too long"
    return DataError(f"{path} is {how}: {found:,} bytes, not {expected:,}: {advice}")
