"""Images in folders: ``train/CLASS/IMAGE`` and ``val/CLASS/IMAGE``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netspec.data.dataset import Dataset, Example, Splits, split_name
from netspec.data.doubts import warn_of_doubts
from netspec.data.files import escaped, folder_of, unreadable
from netspec.data.images import FORMATS, read_image, suffixes
from netspec.errors import DataError
from netspec.ir.words import counted, plural

FOLDERS = {"training": "train", "validation": "val"}
OTHER_NAMES = {
    "train": ("training",),
    "val": ("validation", "valid", "test", "testing", "eval", "dev"),
}
"""Names that other programs use for the folders, in lower case."""
LAYOUT = "images must be in train/CLASS/ and val/CLASS/, one folder per class"
IMAGES = f"images are files with the suffixes of {', '.join(FORMATS)}"
SHOWN = 5
"""Maximum number of kinds of files in a message."""

FOLDER, LINK = "folder", "broken link"


@dataclass
class _PassedOver:
    """Entries of folders that are not images: for each kind, the first one and their number."""

    kinds: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, kind: str, name: str, count: int = 1) -> None:
        first, before = self.kinds.get(kind, (name, 0))
        self.kinds[kind] = first, before + count

    def __str__(self) -> str:
        """Return a text for messages: ``2 files .heic (such as a.heic), 1 folder (b)``."""
        shown = [
            f"{_counted(kind, count)} ({'such as ' if count > 1 else ''}{first})"
            for kind, (first, count) in self.kinds.items()
        ]
        more = [counted(len(shown) - SHOWN, "other kind")] if len(shown) > SHOWN else []
        return ", ".join(shown[:SHOWN] + more)


def _counted(kind: str, count: int) -> str:
    if kind in (LINK, FOLDER):
        return counted(count, kind)
    return f"{count:,} {plural('file', count)} {kind or 'without a suffix'}"


@dataclass
class _Found:
    """The content of a folder with one folder per class.

    Attributes:
        images: file names of the images of each class.
        broken: (class, file name) of the images that are broken links.
        passed_over: ignored files and folders in the folder of each class.
        all_passed_over: all ignored files and folders.
    """

    images: dict[str, list[str]]
    broken: set[tuple[str, str]]
    passed_over: dict[str, _PassedOver]
    all_passed_over: _PassedOver


class Folders(Dataset):
    """One split: images [H, W, 3] of any size, decoded when they are used."""

    def __init__(self, root: Path, use: str, found: _Found) -> None:
        images = found.images
        self._folder = root / FOLDERS[use]
        self._files = [file for files in images.values() for file in files]
        name = split_name(escaped(str(root)), len(self._files), use)
        super().__init__(name, tuple(map(escaped, images)))
        self._folders = tuple(images)
        self._labels = np.repeat(np.arange(len(images)), [len(f) for f in images.values()])
        self._broken = found.broken
        if found.all_passed_over.kinds:
            self.passed_over = f"skipped in {self._folder}: {found.all_passed_over}"

    def __len__(self) -> int:
        return len(self._files)

    def called(self, number: int) -> str:
        return f"example {number}, {self._class(number)}/{self._files[number]}"

    def _class(self, number: int) -> str:
        return self._folders[int(self._labels[number])]

    def _path(self, number: int) -> Path:
        return self._folder.joinpath(self._class(number), self._files[number])

    def example(self, number: int) -> Example:
        path = self._path(number)
        if (self._class(number), self._files[number]) in self._broken and not path.exists():
            raise DataError(f"cannot read {path}: it is a {LINK}; fix or remove it")
        return Example(np.asarray(read_image(path, str(path))), int(self._labels[number]))

    def contents(self) -> Iterable[bytes]:
        """Yield the label, size and name of each file; reading all contents could take hours."""
        for number, file in enumerate(self._files):
            size = b"-"
            if (self._class(number), file) not in self._broken:
                try:
                    size = b"%d" % self._path(number).stat().st_size
                except OSError as error:
                    raise unreadable(self._path(number), error) from None
            yield b"%d %s " % (self._labels[number], size) + os.fsencode(file)


def open_folders(location: str) -> Splits:
    """Return images in one folder per class; classes are numbered in the order of their names.

    Args:
        location: a folder that contains ``train/CLASS/`` and ``val/CLASS/``.

    Raises:
        DataError: if folders are missing or empty, or the splits have different classes.
    """
    root = folder_of(location)
    train, validation = (_found(root / folder) for folder in FOLDERS.values())
    for have, lack, where in ((train, validation, "val"), (validation, train, "train")):
        missing = [name for name in have.images if name not in lack.images]
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise DataError(
                f"{root / where} does not have the class folders {shown}: train and val must have "
                "the same; in val a class folder may be empty"
            )
    for found, folder in ((train, "train"), (validation, "val")):
        if not any(found.images.values()):
            there = f", only {found.all_passed_over}" if found.all_passed_over.kinds else ""
            raise DataError(f"{root / folder} has no images{there}: {LAYOUT}; {IMAGES}")
        _require_images(found, root / folder, may_be_empty=folder == "val")
    warn_of_doubts(root / "train", root / "val", tuple(train.images))
    return Splits(Folders(root, "training", train), Folders(root, "validation", validation))


def require_outside(output: Path, what: str, location: str) -> None:
    """Check that the output of a command would not be read as a class or an image later.

    Raises:
        DataError: if ``output`` is inside the ``train`` or ``val`` folder of the data.
    """
    real, root = Path(os.path.realpath(output)), folder_of(location)
    for folder in filter(Path.is_dir, (root / name for name in FOLDERS.values())):
        places = [str(folder), *(e.path for e in _entries(folder) if e.is_dir())]
        if any(real.is_relative_to(os.path.realpath(place)) for place in places):
            raise DataError(
                f"{what} cannot be written into the data, and {output} is in {folder}: choose "
                "another place"
            )


def _require_images(found: _Found, folder: Path, *, may_be_empty: bool) -> None:
    """Raise DataError if a class has no images; in val, its folder may be completely empty."""
    for name, files in found.images.items():
        broken = [file for file in files if (name, file) in found.broken]
        if len(broken) < len(files):
            continue
        there = found.passed_over[name]
        if broken:
            there.add(LINK, broken[0], len(broken))
        if there.kinds or not may_be_empty:
            way_out = "add images, or remove the folders of the class"
            if may_be_empty:
                way_out = "add images, or empty the folder: in val a class folder may be empty"
            raise DataError(
                f"class {name} has no image in {folder / name}, which has "
                f"{there if there.kinds else 'no files'}: {IMAGES}; {way_out}"
            )


def _found(folder: Path) -> _Found:
    """Return the classes and the images of each, both in the order of their names."""
    if not folder.is_dir():
        near = _near(folder)
        instead = f", but {near}: rename it, or link to it" if near else ""
        raise DataError(f"there is no folder {folder}{instead}: {LAYOUT}")
    found = _Found({}, set(), {}, _PassedOver())
    for entry in _entries(folder):
        if entry.is_dir():
            found.images[entry.name], found.passed_over[entry.name] = [], _PassedOver()
        else:
            found.all_passed_over.add(_suffix(entry.name), entry.name)
    if not found.images:
        raise DataError(f"{folder} has no folders of classes: {LAYOUT}")
    for name in found.images:
        for entry in _entries(folder / name):
            _sort(found, name, entry)
    return found


def _near(folder: Path) -> str:
    """Return the name of a folder that may be meant, next to one that is missing; else empty."""
    means = {folder.name, *OTHER_NAMES[folder.name]}
    if not folder.parent.is_dir():
        return ""
    names = (entry.name for entry in _entries(folder.parent) if entry.is_dir())
    return next((name for name in names if name.lower() in means), "")


def _sort(found: _Found, name: str, entry: os.DirEntry[str]) -> None:
    """Add an entry of the folder of class ``name`` to the images or to the ignored files."""
    is_link, is_image = _leads_nowhere(entry), entry.name.lower().endswith(suffixes())
    if is_image and (is_link or entry.is_file()):
        found.images[name].append(entry.name)
        if is_link:
            found.broken.add((name, entry.name))
        return
    kind = LINK if is_link else FOLDER if entry.is_dir() else _suffix(entry.name)
    found.passed_over[name].add(kind, entry.name)
    found.all_passed_over.add(kind, f"{name}/{entry.name}")


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder in the order of their names, without hidden files."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise unreadable(folder, error) from None
    return sorted(visible, key=lambda entry: entry.name)
