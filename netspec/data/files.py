"""Files of data sets: read them, or say which are missing and where they go."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from netspec.errors import DataError
from netspec.files.reading import reason_of


def folder_of(place: str) -> Path:
    """Return the folder that a person named, where ``~`` and ``~USER`` are homes.

    Raises:
        DataError: there is no such home.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError:
        home = place.partition("/")[0]
        raise DataError(f"{place}: the system knows no home {home}: write the folder out") from None


def from_root(place: str | Path) -> Path:
    """Return a path from the root, as seen from the folder that the process is in.

    Links stay in it: where they lead may change.

    Raises:
        DataError: it begins with a home that does not exist.
    """
    folder, parts = Path.cwd(), folder_of(str(place)).parts
    while parts[:1] == ("..",):
        folder, parts = folder.parent, parts[1:]
    return folder.joinpath(*parts)


def escaped(text: str) -> str:
    """Return a text with names of files in it that any file can hold: other bytes as ``\\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def require(folder: Path, names: Iterable[str], advice: str) -> None:
    """Check that files are in a folder.

    Raises:
        DataError: some are missing; the message names all of them and ends with the advice.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        where = folder if folder.is_dir() else f"{folder}, which is no folder"
        raise DataError(f"missing {', '.join(missing)} in {where}: {advice}")


def read_exactly(path: Path, size: int, advice: str) -> bytes:
    """Return the ``size`` bytes of a file.

    Raises:
        DataError: the file cannot be read, or has another size; then it is not read.
    """
    try:
        with path.open("rb") as file:
            actual = os.fstat(file.fileno()).st_size
            if actual != size:
                raise wrong_size(path, actual, size, advice)
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file or folder that the system cannot read."""
    return DataError(f"cannot read {path}: {reason_of(error)}")


def wrong_size(path: Path, actual: int, expected: int, advice: str) -> DataError:
    """Return the error for a file that does not have the expected number of bytes."""
    fault = "truncated" if actual < expected else "too long"
    return DataError(f"{path} is {fault}: {actual:,} bytes, not {expected:,}: {advice}")
