"""Tar shards as webdataset writes them: ``KEY.jpg`` and ``KEY.cls``, one example after another.

An index of all shards is made when they are opened; then any example is one read at its place.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from netspec.data.dataset import Dataset, Example, Splits, split_name
from netspec.data.files import folder_of, unreadable, wrong_size
from netspec.data.images import FORMATS, read_image, suffixes
from netspec.data.manifest import Manifest, load_manifest
from netspec.errors import DataError
from netspec.ir.shapes import rounded_up

MISSING = "shards are read through webdataset: pip install 'netspec-compiler[shards]'"
PACK = "make shards with `netspec pack DATA -o DIR`, then give shards:DIR"
NAMES = "name shards of both, such as 'DIR/{train-{000000..000012},val-000000}.tar'"
AGAIN = "copy or pack it again"
LARGEST_LABEL = 100
"""The largest size in bytes of a file with the number of a class, spaces included."""
MOST_CLASSES = 100_000
MOST_SHARDS = 100_000
"""That a pattern names."""
_RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)(?:\.\.(-?[0-9]+))?")
_LETTERS = re.compile(r"[A-Za-z]\.\.[A-Za-z](?:\.\.-?[0-9]+)?")
BLOCK = 512
"""Headers and files in a tar file begin at its multiples; a block of zeros is its end."""


class _Entry(NamedTuple):
    shard: int
    offset: int
    size: int
    label: int
    key: str


class Shards(Dataset):
    """One split: images [H, W, 3], each read at its place."""

    def __init__(
        self,
        source: str,
        use: str,
        classes: tuple[str, ...],
        paths: list[Path],
        entries: list[_Entry],
        digests: list[str],
    ) -> None:
        """Digests are those of the shards, if they are known."""
        super().__init__(split_name(source, len(entries), use), classes)
        self._paths = paths
        self._keys = [entry.key for entry in entries]
        self._places = np.array([entry[:4] for entry in entries], np.int64)
        self._digests = digests

    def __len__(self) -> int:
        return len(self._keys)

    def example(self, number: int) -> Example:
        shard, offset, size, label = map(int, self._places[number])
        path = self._paths[shard]
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise unreadable(path, error) from None
        image = read_image(io.BytesIO(data), f"{self._keys[number]} in {path}")
        return Example(np.asarray(image), label)

    def contents(self) -> Iterable[bytes]:
        """Yield the key, label and size of each image; then the digests of packed shards."""
        for key, (_, _, size, label) in zip(self._keys, self._places.tolist(), strict=True):
            yield b"%d %d " % (label, size) + os.fsencode(key)
        yield from map(str.encode, self._digests)


def open_shards(location: str) -> Splits:
    """Return shards for training and validation, which have ``train`` or ``val`` in their names.

    Args:
        place: a folder with ``train-*.tar`` and ``val-*.tar``, or names with braces and wildcards.

    Raises:
        DataError: shards are missing, truncated or corrupt, or not packed to the end.
    """
    train, validation = _by_use(_paths(location))
    manifest = _manifest([*train, *validation])
    indexes = [_index(paths, manifest) for paths in (train, validation)]
    if manifest is None:
        largest = max(entry.label for entries in indexes for entry in entries)
        classes = tuple(str(label) for label in range(largest + 1))
    else:
        classes = manifest.classes
    digests = [
        [manifest.shards[path.name].sha256 for path in paths] if manifest else []
        for paths in (train, validation)
    ]
    return Splits(
        Shards(location, "training", classes, train, indexes[0], digests[0]),
        Shards(location, "validation", classes, validation, indexes[1], digests[1]),
    )


def _paths(location: str) -> list[Path]:
    """Return the shards in a folder or of a pattern; raise DataError if one is missing."""
    folder = folder_of(location)
    paths = _in_folder(folder) if os.path.isdir(folder) else _by_pattern(str(folder))
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(f"missing shards: {shown or location}: {PACK}")
    return paths


def _in_folder(folder: Path) -> list[Path]:
    manifest = load_manifest(folder)
    if manifest is not None:
        return [folder / name for name in sorted(manifest.shards)]
    paths = sorted(folder.glob("train-*.tar")) + sorted(folder.glob("val-*.tar"))
    if not paths:
        raise DataError(f"{folder} has no train-*.tar and no val-*.tar: {PACK}")
    return paths


def _by_pattern(pattern: str) -> list[Path]:
    try:
        from braceexpand import braceexpand
    except ImportError:
        raise DataError(MISSING) from None
    if _count(pattern) > MOST_SHARDS:
        raise DataError(f"shards:{pattern}: it names more than {MOST_SHARDS:,} shards: {NAMES}")
    try:
        names = list(braceexpand(pattern))
    except ValueError:
        raise DataError(f"shards:{pattern}: a brace is not closed: {NAMES}") from None
    return [Path(n) for name in names for n in (sorted(glob(name)) if has_magic(name) else [name])]


def _count(pattern: str) -> int:
    """Return how many names a pattern with braces stands for, capped above :data:`MOST_SHARDS`.

    Braces are replaced from the inside by the number of names that they stand for.
    """

    def product(text: str) -> int:
        return min(prod(map(int, re.findall("\0([0-9]+)\0", text))), MOST_SHARDS + 1)

    def counted(braces: re.Match[str]) -> str:
        ends = _RANGE.fullmatch(braces[1])
        if _LETTERS.fullmatch(braces[1]):
            total = 52  # at most
        elif ends is None:
            total = sum(map(product, braces[1].split(",")))
        elif len(braces[1]) > 100:  # a number of which is too long to be one
            total = MOST_SHARDS + 1
        else:
            total = abs(int(ends[2]) - int(ends[1])) // (abs(int(ends[3] or 1)) or 1) + 1
        return f"\0{min(total, MOST_SHARDS + 1)}\0"

    count = 1
    while count:
        pattern, count = re.subn(r"\{([^{}]*)\}", counted, pattern)
    return product(pattern)


def _by_use(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    by_use: dict[str, list[Path]] = {"train": [], "val": []}
    for path in paths:
        match = re.search("train|val", path.name)
        if match is None:
            raise DataError(f"{path}: its name has neither `train` nor `val` in it: rename it")
        by_use[match.group()].append(path)
    for word, shards in by_use.items():
        if not shards:
            raise DataError(f"no shard has `{word}` in its name: {NAMES}")
    return by_use["train"], by_use["val"]


def _manifest(paths: list[Path]) -> Manifest | None:
    """Return the manifest that `netspec pack` wrote of these shards; None if it did not."""
    folder = paths[0].parent
    manifest = load_manifest(folder)
    if manifest is None:
        return None
    if not manifest.is_finished:
        raise DataError(
            f"{folder} is not packed to the end: run `netspec pack {manifest.source} -o {folder} "
            f"--size {manifest.size}` again, which goes on where it stopped"
        )
    for path in paths:
        if path.parent != folder or path.name not in manifest.shards:
            raise DataError(f"{path} is not in {folder / 'pack.json'}: keep other shards elsewhere")
        expected, actual = manifest.shards[path.name].bytes, path.stat().st_size
        if actual != expected:
            raise wrong_size(path, actual, expected, "remove it and run `netspec pack` again")
    return manifest


def _index(paths: list[Path], manifest: Manifest | None) -> list[_Entry]:
    entries = [entry for i, path in enumerate(paths) for entry in _entries(i, path)]
    if not entries:
        raise DataError(f"{paths[0].parent}: there are no images in {len(paths)} shards: {PACK}")
    classes = len(manifest.classes) if manifest else None
    for entry in entries:
        if classes is not None and entry.label >= classes:
            raise DataError(
                f"{paths[entry.shard]}: the label of {entry.key} is {entry.label}, and pack.json "
                f"has {classes} classes: the shard is corrupt; {AGAIN}"
            )
    return entries


def _entries(number: int, path: Path) -> Iterator[_Entry]:
    """Yield the examples of a shard, in its order."""
    try:
        with _Bounded(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for key, members in _samples(path, tar):
                image, label = _image_and_label(path, key, members)
                for member in (image, label):
                    _require_content(path, member, file.size)
                if label.size > LARGEST_LABEL:
                    raise DataError(f"{path}: {label.name} has {label.size:,} bytes, not a number")
                file.seek(label.offset_data)
                y = _label(path, key, label, file.read(label.size))
                yield _Entry(number, image.offset_data, image.size, y, key)
            _require_an_end(path, file, tar)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        reason = "too many headers in a row" if isinstance(error, RecursionError) else error
        raise DataError(
            f"{path} is truncated or corrupt, or compressed (then unpack it): {reason}; {AGAIN}"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None


class _Bounded(io.FileIO):
    """A file that reads at most its own size, whatever a header claims."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


def _require_content(path: Path, member: tarfile.TarInfo, size: int) -> None:
    """Raise DataError unless the content of a member lies in its shard, in one piece."""
    if member.issparse():
        raise DataError(f"{path}: {member.name} is a sparse file, which is not read; {AGAIN}")
    if not 0 <= member.offset_data <= member.offset_data + member.size <= size:
        raise DataError(
            f"{path} is truncated or corrupt: {member.name} has {member.size:,} bytes; {AGAIN}"
        )


def _require_an_end(path: Path, file: IO[bytes], tar: tarfile.TarFile) -> None:
    """Raise DataError unless the end follows the last file: tarfile stops at bad headers too."""
    members = tar.getmembers()
    end = members[-1].offset_data + members[-1].size if members else 0
    file.seek(rounded_up(end, BLOCK))
    if file.read(BLOCK) != bytes(BLOCK):
        after = f" after {members[-1].name}" if members else ""
        raise DataError(f"{path} is truncated or corrupt{after}: {AGAIN}")


def _samples(path: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield the consecutive files that have a key in common, by the extensions of their names."""
    try:
        from webdataset.tariterators import base_plus_ext
    except ImportError:
        raise DataError(MISSING) from None
    current, members = "", dict[str, tarfile.TarInfo]()
    for member in tar:
        key, extension = base_plus_ext(member.name)
        if not member.isreg() or key is None:
            continue
        if key != current and members:
            yield current, members
            members = {}
        if extension.lower() in members:
            raise DataError(f"{path} is corrupt: it has two {member.name}; {AGAIN}")
        current = key
        members[extension.lower()] = member
    if members:
        yield current, members


def _image_and_label(
    path: Path, key: str, members: dict[str, tarfile.TarInfo]
) -> tuple[tarfile.TarInfo, tarfile.TarInfo]:
    images = [member for extension, member in members.items() if f".{extension}" in suffixes()]
    if len(images) != 1 or "cls" not in members:
        raise DataError(
            f"{path}: {key} has the files {', '.join(members)}: a sample is one image "
            f"({', '.join(FORMATS)}) and the number of its class in {key}.cls, side by side"
        )
    return images[0], members["cls"]


def _label(path: Path, key: str, member: tarfile.TarInfo, text: bytes) -> int:
    stripped = text.strip()
    if not (stripped.isdigit() and len(stripped) < 10):
        raise DataError(f"{path}: {member.name} holds {text[:20]!r}, not the number of a class")
    if int(stripped) >= MOST_CLASSES:
        raise DataError(
            f"{path}: the label of {key} is {int(stripped):,}, and classes are numbered from 0 to "
            f"{MOST_CLASSES - 1:,} at most; {AGAIN}"
        )
    return int(stripped)
