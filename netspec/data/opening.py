"""A data set by its name on the command line."""

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
from netspec.data.shards import open_shards
from netspec.errors import DataError
from netspec.files.reading import reason_of

OPENERS: dict[str, Callable[[str], Splits]] = {
    "digits": open_digits,
    "mnist": open_mnist,
    "cifar10": open_cifar10,
    "cifar100": open_cifar100,
    "images": open_folders,
    "shards": open_shards,
}
FORMS = "digits, digits:SIZE, mnist:DIR, cifar10:DIR, cifar100:DIR, images:DIR, shards:DIR"


def from_anywhere(name: str) -> str:
    """Return the name of a data set for a process in any folder: with its place from the root."""
    kind, _, location = name.partition(":")
    if kind == "digits" or not location:
        return name
    is_pattern = kind == "shards" and not folder_of(location).is_dir()
    if is_pattern and (location.startswith("{") or set("{}[]*?") & set(str(Path.cwd()))):
        return name  # which has no place, or one that would be read as a pattern
    return f"{kind}:{from_root(location)}"


def _kind_of(folder: Path) -> str:
    """Return the kind of data that a folder seems to hold."""
    return "shards" if any(folder.glob("*.tar")) else "images"


def require_outside(output: Path, what: str, name: str) -> None:
    """Check that what a command writes does not lie among the files of a data set.

    Args:
        output: where it is written.
        what: for the message, such as ``a run``.
        name: the data set.

    Raises:
        DataError: it does.
    """
    kind, _, location = name.partition(":")
    if kind == "images" and location:
        folders.require_outside(output, what, location)


def open_data(name: str) -> Splits:
    """Return the two splits of a data set: ``KIND`` or ``KIND:PLACE``, as docs/data.md lists them.

    Raises:
        DataError: the kind does not exist; files are missing, truncated or corrupt.
    """
    kind, colon, location = name.partition(":")
    if kind not in OPENERS:
        advice = f"give one of {FORMS}"
        if name and os.path.isdir(folder := folder_of(name)):
            advice = f"write {_kind_of(folder)}:{name}"
        raise DataError(f"{name!r} is no data set: {advice}")
    if not location and (colon or kind != "digits"):
        raise DataError(f"{name!r} says not where the data is: give one of {FORMS}")
    try:
        splits = OPENERS[kind](location)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataError(f"cannot open {name}: {reason_of(error)}") from None
    if len(splits.train.classes) == 1:
        warnings.warn(
            f"{name} has one class ({splits.train.classes[0]}): each answer is right, and nothing "
            "is measured; add another class",
            stacklevel=2,
        )
    return splits
