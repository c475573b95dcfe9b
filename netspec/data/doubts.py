"""Warnings about folders of images: two classes that are one, or validation on training images."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path


def warn_of_doubts(train: Path, validation: Path, classes: Sequence[str]) -> None:
    """Warn if two folders are the same folder, or two names of classes look the same.

    Args:
        train, validation: folders with one folder per class.
        classes: names of the classes.
    """
    for doubt in (*_same_folders(train, validation, classes), *_same_names(classes)):
        warnings.warn(doubt, stacklevel=2)


def _same_folders(train: Path, validation: Path, classes: Sequence[str]) -> Iterator[str]:
    if os.path.samefile(train, validation):
        yield (
            f"{validation} is the same folder as {train}, so errors are measured on the training "
            "images: put other images into val"
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
                f"{folder} is the same folder as {first}: use different images for each class, and "
                "for train and val"
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
