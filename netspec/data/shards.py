"""Tar shards in webdataset's format: the files ``KEY.jpg`` and ``KEY.cls`` for each example.

When shards are opened, an index of all examples is made.  Then any example needs only one read, at
its offset.
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
NAMES = "name shards of both splits, for example 'DIR/{train-{000000..000012},val-000000}.tar'"
AGAIN = "copy or pack it again"
LARGEST_LABEL = 100
"""Maximum size in bytes of a file with the number of a class, including spaces."""
MOST_CLASSES = 100_000
MOST_SHARDS = 100_000
"""Maximum number of shards that a pattern may name."""
_RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)(?:\.\.(-?[0-9]+))?")
_LETTERS = re.compile(r"[A-Za-z]\.\.[A-Za-z](?:\.\.-?[0-9]+)?")
BLOCK = 512
"""Bytes of a block of a tar file: headers and contents begin at multiples of it, and a block of
zeros marks the end."""


class _Entry(NamedTuple):
    shard: int
    offset: int
    size: int
    label: int
    key: str


class Shards(Dataset):
    """One split: images [H, W, 3], each read from its offset in a shard.

    Args:
        source: name of the data set.
        use: ``training`` or ``validation``.
        classes: names of the classes.
        paths: paths of the shards.
        entries: places of the examples.
        digests: digests of the shards if known; else empty.
    """

    def __init__(
        self,
        source: str,
        use: str,
        classes: tuple[str, ...],
        paths: list[Path],
        entries: list[_Entry],
        digests: list[str],
    ) -> None:
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
        """Yield the label, size and key of each image; then the digests of packed shards."""
        for key, (_, _, size, label) in zip(self._keys, self._places.tolist(), strict=True):
            yield b"%d %d " % (label, size) + os.fsencode(key)
        yield from map(str.encode, self._digests)


def open_shards(location: str) -> Splits:
    """Return shards for training and validation, which have ``train`` or ``val`` in their names.

    Args:
        location: a folder with ``train-*.tar`` and ``val-*.tar``, or a pattern with braces and
            wildcards.

    Raises:
        DataError: if shards are missing, truncated or corrupt, or packing has not finished.
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
    """Return the paths of the shards in a folder or for a pattern; they exist.

    Raises:
        DataError: if one is missing, or there is none.
    """
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
        raise DataError(f"{folder} has neither train-*.tar nor val-*.tar: {PACK}")
    return paths


def _by_pattern(pattern: str) -> list[Path]:
    try:
        from braceexpand import braceexpand
    except ImportError:
        raise DataError(MISSING) from None
    if _count(pattern) > MOST_SHARDS:
        raise DataError(
            f"shards:{pattern}: the pattern names more than {MOST_SHARDS:,} shards: {NAMES}"
        )
    try:
        names = list(braceexpand(pattern))
    except ValueError:
        raise DataError(f"shards:{pattern}: a brace is not closed: {NAMES}") from None
    return [Path(n) for name in names for n in (sorted(glob(name)) if has_magic(name) else [name])]


def _count(pattern: str) -> int:
    """Return the number of names in a pattern with braces, at most :data:`MOST_SHARDS` + 1.

    Counting first prevents a short pattern from filling the memory with names.  Braces are replaced
    from the inside out by the number of names in them.
    """

    def product(text: str) -> int:
        return min(prod(map(int, re.findall("\0([0-9]+)\0", text))), MOST_SHARDS + 1)

    def counted(braces: re.Match[str]) -> str:
        ends = _RANGE.fullmatch(braces[1])
        if _LETTERS.fullmatch(braces[1]):
            total = 52  # the maximum
        elif ends is None:
            total = sum(map(product, braces[1].split(",")))
        elif len(braces[1]) > 100:  # too long for `int`, which would be slow or raise an error
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
            raise DataError(f"{path}: its name does not contain `train` or `val`: rename it")
        by_use[match.group()].append(path)
    for word, shards in by_use.items():
        if not shards:
            raise DataError(f"no shard has `{word}` in its name: {NAMES}")
    return by_use["train"], by_use["val"]


def _manifest(paths: list[Path]) -> Manifest | None:
    """Return the manifest of these shards; None if `netspec pack` did not write them.

    Raises:
        DataError: if packing has not finished, or a shard does not match the manifest.
    """
    folder = paths[0].parent
    manifest = load_manifest(folder)
    if manifest is None:
        return None
    if not manifest.is_finished:
        raise DataError(
            f"packing {folder} has not finished: run `netspec pack {manifest.source} -o {folder} "
            f"--size {manifest.size}` again, which continues where it stopped"
        )
    for path in paths:
        if path.parent != folder or path.name not in manifest.shards:
            raise DataError(
                f"{path} is not listed in {folder / 'pack.json'}: move it to another folder"
            )
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
                f"{paths[entry.shard]}: the label of {entry.key} is {entry.label}, but pack.json "
                f"has only {classes} classes: the shard is corrupt; {AGAIN}"
            )
    return entries


def _entries(number: int, path: Path) -> Iterator[_Entry]:
    """Yield the examples of shard ``number`` in their order."""
    try:
        with _Bounded(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for key, members in _samples(path, tar):
                image, label = _image_and_label(path, key, members)
                for member in (image, label):
                    _require_content(path, member, file.size)
                if label.size > LARGEST_LABEL:
                    raise DataError(
                        f"{path}: {label.name} has {label.size:,} bytes, too many for the number "
                        f"of a class; {AGAIN}"
                    )
                file.seek(label.offset_data)
                y = _label(path, key, label, file.read(label.size))
                yield _Entry(number, image.offset_data, image.size, y, key)
            _require_an_end(path, file, tar)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        reason = "too many headers in a row" if isinstance(error, RecursionError) else error
        raise DataError(
            f"{path} is truncated or corrupt, or compressed: {reason}; {AGAIN}, or unpack it if it "
            "is compressed"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None


class _Bounded(io.FileIO):
    """A file that allocates at most its own size, even if a damaged header declares more."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self.size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


def _require_content(path: Path, member: tarfile.TarInfo, size: int) -> None:
    """Raise DataError unless the content of a member is inside its shard, in one piece."""
    if member.issparse():
        raise DataError(
            f"{path}: {member.name} is a sparse file, which is not supported: write the shard "
            "without sparse files"
        )
    if not 0 <= member.offset_data <= member.offset_data + member.size <= size:
        raise DataError(
            f"{path} is truncated or corrupt: {member.name} has {member.size:,} bytes; {AGAIN}"
        )


def _require_an_end(path: Path, file: IO[bytes], tar: tarfile.TarFile) -> None:
    """Raise DataError unless the last file is followed by the end mark of a tar file.

    This is needed because tarfile also stops, without an error, at a damaged header.
    """
    members = tar.getmembers()
    end = members[-1].offset_data + members[-1].size if members else 0
    file.seek(rounded_up(end, BLOCK))
    if file.read(BLOCK) != bytes(BLOCK):
        after = f" after {members[-1].name}" if members else ""
        raise DataError(f"{path} is truncated or corrupt{after}: {AGAIN}")


def _samples(path: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Yield each key with its consecutive files, by the extension of their names."""
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
            raise DataError(f"{path} is corrupt: it has two files {member.name}; {AGAIN}")
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
            f"{path}: {key} has files of the types {', '.join(members)}, but an example must be "
            f"one image ({', '.join(FORMATS)}) next to {key}.cls with the number of its class"
        )
    return images[0], members["cls"]


def _label(path: Path, key: str, member: tarfile.TarInfo, text: bytes) -> int:
    stripped = text.strip()
    if not (stripped.isdigit() and len(stripped) < 10):
        raise DataError(f"{path}: {member.name} contains {text[:20]!r}, not the number of a class")
    if int(stripped) >= MOST_CLASSES:
        raise DataError(
            f"{path}: the label of {key} is {int(stripped):,}, but the largest allowed class "
            f"number is {MOST_CLASSES - 1:,}; {AGAIN}"
        )
    return int(stripped)
