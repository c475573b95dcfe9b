"""Images in folders: ``train/CLASS/IMAGE`` and ``val/CLASS/IMAGE``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from netspec.data.dataset import Dataset, Example, Splits, split_name
from netspec.data.files import folder_of, unreadable
from netspec.data.images import SUFFIXES, read_image
from netspec.errors import DataError

FOLDERS = {"training": "train", "validation": "val"}
LAYOUT = "images lie in train/CLASS/ and val/CLASS/, a folder for each class"


class Folders(Dataset):
    """One split: images [H, W, 3] of any size, decoded when they are asked for."""

    def __init__(self, root: Path, use: str, images: dict[str, list[str]]) -> None:
        """Images are file names for each class, in the order of the classes' numbers."""
        self._folder = root / FOLDERS[use]
        self._files = [file for files in images.values() for file in files]
        super().__init__(split_name(str(root), len(self._files), use), tuple(images))
        self._labels = np.repeat(np.arange(len(images)), [len(f) for f in images.values()])

    def __len__(self) -> int:
        return len(self._files)

    def _path(self, number: int) -> Path:
        return self._folder.joinpath(self.classes[self._labels[number]], self._files[number])

    def example(self, number: int) -> Example:
        path = self._path(number)
        return Example(np.asarray(read_image(path, str(path))), int(self._labels[number]))

    def contents(self) -> Iterable[bytes]:
        """Yield the label, name and size of each file: to read them all would take hours."""
        for number, file in enumerate(self._files):
            try:
                size = self._path(number).stat().st_size
            except OSError as error:
                raise unreadable(self._path(number), error) from None
            yield b"%d %d " % (self._labels[number], size) + os.fsencode(file)


def open_folders(location: str) -> Splits:
    """Return images in a folder per class; classes are numbered in the order of their names.

    Raises:
        DataError: folders are missing or empty, or training and validation have other classes.
    """
    root = folder_of(location)
    train, validation = (_images(root / folder) for folder in FOLDERS.values())
    for have, lack, where in ((train, validation, "val"), (validation, train, "train")):
        missing = [name for name in have if name not in lack]
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise DataError(
                f"{root / where} lacks folders of classes: {shown}: "
                "both must have the same; make empty ones where there are no images"
            )
    for images, folder in ((train, "train"), (validation, "val")):
        if not any(images.values()):
            raise DataError(f"{root / folder} has no images ({', '.join(SUFFIXES)}): {LAYOUT}")
    return Splits(Folders(root, "training", train), Folders(root, "validation", validation))


def _images(folder: Path) -> dict[str, list[str]]:
    """Return the images of each class, both in the order of their names."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: {LAYOUT}")
    classes = [entry.name for entry in _entries(folder) if entry.is_dir()]
    if not classes:
        raise DataError(f"{folder} has no folders of classes: {LAYOUT}")
    return {
        name: [
            entry.name
            for entry in _entries(folder / name)
            if entry.name.lower().endswith(SUFFIXES) and entry.is_file()
        ]
        for name in classes
    }


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder in the order of their names, without hidden files."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise unreadable(folder, error) from None
    return sorted(visible, key=lambda entry: entry.name)
