"""HDF5 files of unknown origin: nothing outside the file is read, in memory bounded by its size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from netspec.files.members import shown
from netspec.pretrained.formats.common import (
    MOST_OBJECTS,
    Damaged,
    line_of,
    most_content,
    natural,
    required,
)

FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 32000: "lzf"}
"""Filters of the library itself.  For any other, it would load a plug-in, which is code."""

DEEPEST = 64
"""The largest number of groups that contain each other."""

MOST_TEXTS = 2**24
"""The largest size of an attribute in bytes, without the content of texts of variable length."""


class Hdf5:
    """An open HDF5 file.

    Links to other files and symbolic links raise :class:`Damaged`, as do datasets whose values are
    in other files, and datasets that claim more than the file can contain.

    Attributes:
        root: the group that contains all others.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Open a file with a size in bytes."""
        self._h5py = required("h5py", "h5py")
        self._size, self._left = size, most_content(size)
        self._walked, self._count = set[int](), 0
        with _library():
            self._file = self._h5py.File(file, "r")
            self.root: Any = self._file["/"]

    def close(self) -> None:
        with _library():
            self._file.close()

    def child(self, group: Any, path: str) -> Any:
        """Return the group or dataset at a path below a group; None if there is none."""
        for name in path.split("/"):
            if not self.is_group(group):
                return None
            with _library():
                link = group.get(name, getlink=True) if name else None
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                raise Damaged(
                    f"{shown(name)} is a link to another place, which is not followed",
                    "use a file that contains its weights itself",
                )
            with _library():
                group = group[name]
        return group

    def walk(self, group: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
        """Yield the path and the object of all groups and datasets below a group.

        Paths are in natural order: ``conv2d_2`` is before ``conv2d_10``.
        """
        if depth > DEEPEST:
            raise Damaged(f"it has groups in more than {DEEPEST} others")
        with _library():
            names = sorted(group.keys(), key=natural)
            address = self._h5py.h5o.get_info(group.id).addr
        if address in self._walked:
            raise Damaged(f"it is damaged: the group {shown(str(group.name))} is in two places")
        self._walked.add(address)
        for name in names:
            self._count += 1
            if self._count > MOST_OBJECTS:
                raise Damaged(f"it has more than {MOST_OBJECTS:,} groups and datasets")
            child = self.child(group, name) if "/" not in name else None
            if child is not None:
                yield name, child
            if self.is_group(child):
                yield from (
                    (f"{name}/{path}", below) for path, below in self.walk(child, depth + 1)
                )

    def is_group(self, item: Any) -> bool:
        return isinstance(item, self._h5py.Group)

    def is_dataset(self, item: Any) -> bool:
        return isinstance(item, self._h5py.Dataset)

    def texts(self, owner: Any, name: str) -> list[str] | None:
        """Return the texts of an attribute; None if there is no such attribute of texts."""
        with _library():
            if name not in owner.attrs:
                return None
            attribute = owner.attrs.get_id(name)
            size = prod(attribute.shape or ()) * max(attribute.get_type().get_size(), 1)
            if size > min(MOST_TEXTS, most_content(self._size)):
                raise Damaged(f"the attribute {shown(name)} claims {size:,} bytes")
            if prod(attribute.shape or ()) == 0:
                return []
            if self._h5py.check_string_dtype(attribute.dtype) is None:
                return None
            values = np.asarray(owner.attrs[name]).reshape(-1).tolist()
        return [
            value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
            for value in values
        ]

    def text(self, owner: Any, name: str) -> str:
        """Return the text of an attribute; empty if there is none."""
        return next(iter(self.texts(owner, name) or ()), "")

    def tensor(self, dataset: Any) -> Tensor:
        """Return the values of a dataset of numbers.

        Raises:
            Damaged: they are not numbers, not in this file, or more than it can contain.
        """
        is_bfloat16 = self.text(dataset, "dtype") == "bfloat16"
        with _library():
            name = shown(str(dataset.name))
            shape, dtype, chunks = dataset.shape or (), dataset.dtype, dataset.chunks
            settings = dataset.id.get_create_plist()
            filters = [settings.get_filter(n)[0] for n in range(settings.get_nfilters())]
            is_elsewhere = dataset.is_virtual or settings.get_external_count() > 0
        if is_elsewhere:
            raise Damaged(f"the values of {name} are in another file, which is not read")
        unknown = [number for number in filters if number not in FILTERS]
        if unknown:
            raise Damaged(
                f"{name} is compressed by the filter {unknown[0]}, which needs a plug-in",
                "save it with gzip, or without compression",
            )
        is_number = dtype.kind in "fiub" and dtype.itemsize <= 8
        if not (is_number or (is_bfloat16 and dtype == np.dtype("V2"))):
            raise Damaged(f"{name} contains no numbers, but values of the type {shown(str(dtype))}")
        claimed = prod(shape) * dtype.itemsize
        unpacked = max(claimed, prod(chunks) * dtype.itemsize if chunks else 0)
        self._left -= unpacked
        if self._left < 0:
            raise Damaged(
                f"{name} claims {unpacked:,} bytes, too many for a file of {self._size:,}",
                "save it without compression",
            )
        with _library():
            if claimed and not chunks and dataset.id.get_storage_size() != claimed:
                raise Damaged(f"it is damaged: {name} has no values")
            values = np.ascontiguousarray(dataset[()]).reshape(shape)
        if is_bfloat16 and dtype.kind == "V":
            return torch.from_numpy(values.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(values.astype(dtype.newbyteorder("="), copy=False))


@contextmanager
def opened_hdf5(file: BinaryIO, size: int) -> Iterator[Hdf5]:
    """Open an HDF5 file and close it after the block."""
    opened = Hdf5(file, size)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def _library() -> Iterator[None]:
    """Convert the exceptions that h5py raises for damaged files."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, SystemError) as error:
        raise Damaged(f"it is damaged or truncated ({line_of(error)})") from None
