"""A data set by its name on the command line."""

from __future__ import annotations

from collections.abc import Callable

from netspec.data.cifar import open_cifar10, open_cifar100
from netspec.data.dataset import Splits
from netspec.data.digits import open_digits
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


def open_data(name: str) -> Splits:
    """Return the two splits of a data set: ``KIND`` or ``KIND:PLACE``, as docs/data.md lists them.

    Raises:
        DataError: the kind does not exist; files are missing, truncated or corrupt.
    """
    kind, colon, location = name.partition(":")
    if kind not in OPENERS:
        raise DataError(f"{name!r} is no data set: give one of {FORMS}")
    if not location and (colon or kind != "digits"):
        raise DataError(f"{name!r} says not where the data is: give one of {FORMS}")
    try:
        return OPENERS[kind](location)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataError(f"cannot open {name}: {reason_of(error)}") from None
