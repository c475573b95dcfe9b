"""Open a data set by its name, such as ``mnist:DIR``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from netspec.data import folders
from netspec.data.cifar import open_cifar10, open_cifar100
from netspec.data.dataset import Splits
from netspec.data.digits import open_digits
from netspec.data.files import folder_of, from_root
from netspec.data.folders import open_folders
from netspec.data.mnist import open_mnist
from netspec.data.mnist5k import open_mnist5k
from netspec.data.shards import open_shards
from netspec.errors import DataError
from netspec.files.reading import reason_of

OPENERS: dict[str, Callable[[str], Splits]] = {
    "digits": open_digits,
    "mnist5k": open_mnist5k,
    "mnist": open_mnist,
    "cifar10": open_cifar10,
    "cifar100": open_cifar100,
    "images": open_folders,
    "shards": open_shards,
}
PACKAGED = ("digits", "mnist5k")
"""Data sets that come with a package of Python, and need no place."""

FORMS = "digits, digits:SIZE, mnist5k, mnist:DIR, cifar10:DIR, cifar100:DIR, images:DIR, shards:DIR"


def from_anywhere(name: str) -> str:
    """Return the name of a data set with an absolute path, so that it is valid in any folder."""
    kind, _, location = name.partition(":")
    if kind in PACKAGED or not location:
        return name
    is_pattern = kind == "shards" and not folder_of(location).is_dir()
    if is_pattern and (location.startswith("{") or set("{}[]*?") & set(str(Path.cwd()))):
        return name  # a pattern without a fixed folder, or a folder whose name contains wildcards
    return f"{kind}:{from_root(location)}"


def _kind_of(folder: Path) -> str:
    """Return the kind of data that a folder seems to hold."""
    return "shards" if any(folder.glob("*.tar")) else "images"


def require_outside(output: Path, what: str, name: str) -> None:
    """Check that a command does not write among the files of a data set.

    Args:
        output: the path that it writes.
        what: name of the output for messages, such as ``a run``.
        name: name of the data set.

    Raises:
        DataError: if the output would be inside the data.
    """
    kind, _, location = name.partition(":")
    if kind == "images" and location:
        folders.require_outside(output, what, location)


def open_data(name: str) -> Splits:
    """Return the two splits of a data set.

    Args:
        name: ``KIND`` or ``KIND:PLACE``, as listed in docs/data.md.

    Raises:
        DataError: if the kind does not exist, or files are missing, truncated or corrupt.
    """
    kind, colon, location = name.partition(":")
    if kind not in OPENERS:
        advice = f"give one of {FORMS}"
        if name and os.path.isdir(folder := folder_of(name)):
            advice = f"write {_kind_of(folder)}:{name}"
        raise DataError(f"{name!r} is not a data set: {advice}")
    if not location and (colon or kind not in PACKAGED):
        raise DataError(f"{name!r} does not say where the data is: give one of {FORMS}")
    try:
        splits = OPENERS[kind](location)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataError(f"cannot open {name}: {reason_of(error)}") from None
    if len(splits.train.classes) == 1:
        warnings.warn(
            f"{name} has only one class ({splits.train.classes[0]}), so every answer is correct: "
            "add another class",
            stacklevel=2,
        )
    return splits
