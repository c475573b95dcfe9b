"""Read the files of data sets; errors name the missing files and the folder for them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from netspec.errors import DataError
from netspec.files.reading import reason_of


def folder_of(place: str) -> Path:
    """Return a path as given by a user, with ``~`` and ``~USER`` replaced by home folders.

    Raises:
        DataError: if the home folder is not known.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError:
        home = place.partition("/")[0]
        raise DataError(
            f"{place}: the system has no home folder for {home}: write the full path"
        ) from None


def from_root(place: str | Path) -> Path:
    """Return the absolute path of a path relative to the current folder.

    Links are not resolved, since their targets may change.

    Raises:
        DataError: if it begins with a home folder that is not known.
    """
    folder, parts = Path.cwd(), folder_of(str(place)).parts
    while parts[:1] == ("..",):
        folder, parts = folder.parent, parts[1:]
    return folder.joinpath(*parts)


def escaped(text: str) -> str:
    """Return a text that can be written as UTF-8: other bytes of file names become ``\\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def require(folder: Path, names: Iterable[str], advice: str) -> None:
    """Check that files are in a folder.

    Raises:
        DataError: if files are missing; the message names all of them and ends with ``advice``.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        where = folder if folder.is_dir() else f"{folder}, which is not a folder"
        raise DataError(f"missing {', '.join(missing)} in {where}: {advice}")


def read_exactly(path: Path, size: int, advice: str) -> bytes:
    """Return the content of a file that must have ``size`` bytes.

    The size is checked before the file is read, so that a wrong file does not fill the memory.

    Raises:
        DataError: if the file cannot be read or has another size.
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
