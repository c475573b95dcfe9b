"""Doubts about folders of images that can be read: two classes that are one, tests on training."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path


def warn_of_doubts(train: Path, validation: Path, classes: Sequence[str]) -> None:
    """Warn of folders that are the same one, and of names of classes that look the same.

    Args:
        train, validation: folders with a folder for each class.
        classes: their names.
    """
    for doubt in (*_same_folders(train, validation, classes), *_same_names(classes)):
        warnings.warn(doubt, stacklevel=2)


def _same_folders(train: Path, validation: Path, classes: Sequence[str]) -> Iterator[str]:
    if os.path.samefile(train, validation):
        yield (
            f"{validation} is the same folder as {train}: errors are measured on the images that "
            "the net learns from; put others into val"
        )
        splits = [train]
    else:
        splits = [train, validation]
    seen = dict[tuple[int, int], Path]()
    for folder in (split / name for split in splits for name in classes):
        status = folder.stat()
        first = seen.setdefault((status.st_dev, status.st_ino), folder)
        if first is not folder:
            yield (
                f"{folder} is the same folder as {first}: give each class images of its own, and "
                "val others than train"
            )


def _same_names(classes: Sequence[str]) -> Iterator[str]:
    seen = dict[str, str]()
    for name in classes:
        first = seen.setdefault(unicodedata.normalize("NFC", name).strip().casefold(), name)
        if first is not name:
            yield (
                f"classes {first!a} and {name!a} differ only by case, surrounding space "
                "or Unicode form: if they are one class, put their images into one folder"
            )
