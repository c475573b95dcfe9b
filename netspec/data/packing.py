"""`netspec pack`: decode images, crop them to squares, and store them in tar shards.

Shard k of a split holds the examples k n to (k + 1) n - 1 of the split.  So shards do not depend on
each other: each is written whole or not at all, and an interrupted pack continues with the missing
ones.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from netspec.data.dataset import Dataset, Pixels, Splits
from netspec.data.following import end_with_the_parent
from netspec.data.images import center, shorter
from netspec.data.manifest import Manifest, Shard, load_manifest
from netspec.data.opening import open_data, require_outside
from netspec.data.shards import MISSING
from netspec.errors import DataError, require_type
from netspec.files.reading import reason_of
from netspec.files.writing import sweep, write_whole
from netspec.ir.arguments import place, whole
from netspec.printing import Printed

SHARD = 128 * 2**20
"""Approximate number of bytes of pixels in a shard."""
SPLITS = ("train", "val")
SIZE, FAULTS = 256, 100
"""Pixels per side, and corrupt images that may be skipped, unless given."""

Progress = Callable[[int], AbstractContextManager[Callable[[str], None]]]
"""Function from the number of shards to a context; its value is called with the name of each
finished shard."""


class _Job(NamedTuple):
    """A shard to write."""

    path: Path
    split: int
    numbers: range


@dataclass(frozen=True, repr=False)
class Packed(Printed):
    """A data set in shards, which ``shards:FOLDER`` reads.

    Attributes:
        folder: Folder of the shards.
        manifest: The content of ``pack.json``.
    """

    folder: Path
    manifest: Manifest

    @property
    def data(self) -> str:
        """Name of the shards as a data set."""
        return f"shards:{self.folder}"

    def shards(self, split: str) -> list[Shard]:
        """Return the shards of a split, ``train`` or ``val``."""
        return [s for name, s in self.manifest.shards.items() if name.startswith(f"{split}-")]


def pack(
    data: str,
    to: str | Path,
    *,
    size: int = SIZE,
    faults: int = FAULTS,
    workers: int = 1,
    note: Callable[[str], None] = lambda remark: None,
    progress: Progress = lambda shards: nullcontext(lambda name: None),
) -> Packed:
    """Write the images of a data set into shards, or continue where an earlier call stopped.

    An image is resized so that its shorter side is ``size``, and its centre is cut out (section 2
    of the AlexNet paper).  It is stored decoded, with its class number.

    Args:
        data: a data set, such as ``"images:DIR"``.
        to: the folder of the shards and ``pack.json``; made if it does not exist.
        size: pixels per side.
        faults: number of corrupt images that are skipped; one more is an error.
        workers: number of processes.
        note: called with each remark on the data.
        progress: called with the number of shards to write; returns a context whose value is called
            with the name of each shard that is written.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: the data cannot be read, too many images are corrupt, or the folder cannot be
            written or holds something else.
    """
    require_type("data", data, str, "a data set, such as images:DIR")
    folder = place("to", to, "the path of a folder")
    size = whole("size", size, 1, 4096)
    faults = whole("faults", faults, 0, 10**9)
    workers = whole("workers", workers, 1, 1024)
    require_outside(folder, "a folder of shards", data)
    splits = open_data(data)
    for split in splits:
        if split.passed_over:
            note(split.passed_over)
    per_shard = max(1, SHARD // (3 * size * size))
    manifest = _started(
        folder,
        Manifest(
            source=data,
            digests=(splits.train.digest, splits.validation.digest),
            size=size,
            images_per_shard=per_shard,
            classes=splits.train.classes,
        ),
    )
    jobs = [
        _Job(folder / f"{name}-{k:06d}.tar", split, range(start, min(start + per_shard, len(of))))
        for split, (name, of) in enumerate(zip(SPLITS, splits, strict=True))
        for k, start in enumerate(range(0, len(of), per_shard))
    ]
    left = [job for job in jobs if job.path.name not in manifest.shards]
    with progress(len(left)) as told:
        for job, shard in _written(splits, left, size, faults, workers):
            manifest.shards[job.path.name] = shard
            manifest.save(folder)
            _require_few([f for s in manifest.shards.values() for f in s.faults], faults)
            told(job.path.name)
    for name, dataset in zip(SPLITS, splits, strict=True):
        _require_some(manifest, name, dataset)
    manifest.is_finished = True
    manifest.save(folder)
    return Packed(folder, manifest)


def _require_some(manifest: Manifest, split: str, dataset: Dataset) -> None:
    """Raise DataError if the shards of a split have no images."""
    shards = [s for name, s in manifest.shards.items() if name.startswith(f"{split}-")]
    if not any(shard.images for shard in shards):
        first = next(fault for shard in shards for fault in shard.faults)
        raise DataError(f"no image of {dataset.name} can be used, such as: {first}")


def _started(folder: Path, new: Manifest) -> Manifest:
    """Return the manifest of a folder without its missing or truncated shards; or the new one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        is_empty = all(path.name.startswith(".") for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot write {folder}: {reason_of(error)}") from None
    old = load_manifest(folder)
    if old is None:
        if not is_empty:
            raise DataError(f"{folder} contains other files: use an empty folder, or a new one")
        new.save(folder)
        return new
    if not old.is_of(new):
        raise DataError(
            f"{folder} contains another pack, of {old.source} with {old.size} x {old.size} pixels: "
            f"use another folder, or remove {folder}"
        )
    for name, shard in list(old.shards.items()):
        path = folder / name
        if not path.is_file() or path.stat().st_size != shard.bytes:
            del old.shards[name]
            old.is_finished = False
    return old


def _written(
    splits: Splits, jobs: list[_Job], size: int, faults: int, workers: int
) -> Iterator[tuple[_Job, Shard]]:
    """Write shards, with several processes if there are several shards; yield each when done."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield job, _write(splits[job.split], job, size, faults)
        return
    pool = ProcessPoolExecutor(
        workers,
        # not fork, which would copy locks that threads of PyTorch may hold
        multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(splits,),
    )
    try:
        futures = {pool.submit(_work, job, size, faults): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise DataError(
            "a packing process died, perhaps because memory ran out: run the command again with "
            "fewer --workers; it continues where it stopped"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_splits: Splits
"""The splits that this process packs; sent once per process, since they are large."""


def _begin(splits: Splits) -> None:
    end_with_the_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and stops this process
    global _splits  # noqa: PLW0603
    _splits = splits


def _work(job: _Job, size: int, faults: int) -> Shard:
    return _write(_splits[job.split], job, size, faults)


def _write(dataset: Dataset, job: _Job, size: int, faults: int) -> Shard:
    """Write a shard; it is built in memory, so that its file is written whole or not at all."""
    try:
        from webdataset.writer import TarWriter
    except ImportError:
        raise DataError(MISSING) from None
    content, left_out = io.BytesIO(), list[str]()
    # mtime=0: the bytes of a shard must not depend on the time
    with TarWriter(content, encoder=False, mtime=0) as tar:
        for number in job.numbers:
            try:
                pixels, label = dataset.example(number)
            except DataError as error:
                left_out.append(str(error))
                _require_few(left_out, faults)
                continue
            square = center(shorter(pixels, size), (size, size))
            suffix = "pgm" if square.shape[2] == 1 else "ppm"
            tar.write({"__key__": f"{number:08d}", suffix: _encoded(square), "cls": b"%d" % label})
    write_whole(job.path, content.getvalue())
    return Shard(
        images=len(job.numbers) - len(left_out),
        bytes=len(content.getvalue()),
        sha256=hashlib.sha256(content.getvalue()).hexdigest(),
        faults=tuple(left_out),
    )


def _encoded(pixels: Pixels) -> bytes:
    """Return an image as a portable graymap or pixmap: a header and the raw pixels."""
    content = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(content, "PPM")
    return content.getvalue()


def _require_few(faults: list[str], most: int) -> None:
    if len(faults) > most:
        raise DataError(
            f"more than {most} images cannot be read, such as: {faults[-1]}; fix or remove "
            "them, or skip more with --faults"
        )
