"""One pass of a net over a data set of any size, in bounded memory, that can be resumed.

What a pass computes of an image does not depend on the number of workers, the size of a batch, or
on whether the pass was interrupted: image n is always in place n % CHUNK of a batch of CHUNK images
that begins with a multiple of CHUNK.  The order in which PyTorch adds numbers depends on the size
of a batch, so without this, last digits would differ, and with them the order of images whose
activations are almost equal.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from netspec.data.dataset import Dataset
from netspec.data.preprocessing import view_of
from netspec.errors import DataError, require_type
from netspec.files.reading import reason_of
from netspec.files.tensors import Stored, bytes_of, opened_tensors
from netspec.ir.arguments import choice
from netspec.ir.shapes import rounded_up
from netspec.runtime.weights import save_tensors
from netspec.see.subject import Seen

if TYPE_CHECKING:
    from netspec.training.batches import Batch

CHUNK = 16
"""Images that the net computes at once."""
BATCH = 64
"""Images that are in memory at once, by default."""
SPLITS = ("train", "validation")
SAVE_EVERY = 60.0
"""Seconds between saves of an unfinished pass."""


class Chunk(NamedTuple):
    """At most ``CHUNK`` images of a pass, in the order of the data set.

    Attributes:
        numbers: of the images in the data set, [N] int64.
        labels: numbers of their classes, [N] int64.
        images: the inputs of the net, [N, C, H, W] float32.
        activations: of the row, [N, maps, H, W] or [N, units].
    """

    numbers: Tensor
    labels: Tensor
    images: Tensor
    activations: Tensor


class Summary(Protocol):
    """What a pass keeps of the images: in most cases its size does not depend on their number.

    Attributes:
        about: what the summary depends on in addition to the net and the data, such as the images
            that others are compared with.  A saved pass continues only if it is equal.
    """

    about: bytes = b""

    def add(self, chunk: Chunk) -> None:
        """Add images, in the order of the data set."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what is kept, by name; the shapes are those of a new summary."""

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`tensors` returned."""


class Interrupted(KeyboardInterrupt):
    """Error for a pass that was stopped by a signal, after it was saved.

    Attributes:
        number: number of the signal.
    """

    def __init__(
        self, number: int, done: int, count: int, path: Path, noun: str = "images"
    ) -> None:
        super().__init__(number)
        self.number = number
        self.text = (
            f"the pass stopped after {done:,} of {count:,} {noun}, and is saved in {path}: repeat "
            "it to continue"
        )

    def __str__(self) -> str:
        return self.text


def stream(
    seen: Seen,
    dataset: Dataset,
    row: str,
    summary: Summary,
    *,
    batch: int = BATCH,
    workers: int = 0,
    state: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> None:
    """Add the activations of a row for all images of a data set to a summary.

    Args:
        seen: the net.
        dataset: one split of a data set.
        row: a row or stage.
        summary: a new summary; it is changed in place.
        batch: images that are in memory at once, rounded up to a multiple of ``CHUNK``.
        workers: number of processes that read images.
        state: a file in which the pass is saved once a minute, when a signal stops it and when it
            is finished; if it exists, the pass continues from it.  By default nothing is saved.
        advance: called with the number of images so far, and the number of all.
        note: called with a sentence for each image that cannot be read and is skipped.

    Raises:
        DataError: the data cannot be read, the state is of another pass, an activation is not
            finite, or no image can be read.
        Interrupted: a signal stopped the pass; only with ``state``.
    """
    from netspec.training.batches import InOrder  # a picture of one image does not import training
    from netspec.training.stopping import Stopping

    end = seen.stage_of(row)
    shape, expects = seen.image_shape, replace(seen.subject.expects, views="center")
    tests = InOrder(
        dataset,
        view_of(expects, shape),
        shape,
        batch=rounded_up(batch, CHUNK),
        workers=workers,
    )
    count, features = len(dataset), seen.model.features(end)
    key = "" if state is None else _key(seen, dataset, end, summary)
    start, used = (0, 0) if state is None else _resumed(state, key, summary)
    saved = monotonic()
    try:
        with Stopping() if state is not None else Unstopped() as stopping:
            for images in tests.beginning_with(start) if start < count else ():
                for fault in images.faults:
                    note(fault)
                for chunk in _computed(seen, features, images, row):
                    summary.add(chunk)
                used += len(images.numbers)
                start = min(start + tests.batch, count)
                advance(start, count)
                is_due = monotonic() > saved + SAVE_EVERY or start == count
                if state is not None and (is_due or stopping.asked):
                    save_state(state, key, summary.tensors(), start, used)
                    saved = monotonic()
                    if stopping.asked:
                        raise Interrupted(stopping.asked, start, count, state)
    finally:
        tests.close()
    tests.faults.require_some(used)


class Unstopped:
    """The counterpart of Stopping for a pass that is not saved: Ctrl-C raises KeyboardInterrupt."""

    asked = 0

    def __enter__(self) -> Unstopped:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _computed(
    seen: Seen, features: Callable[[Tensor], Tensor], batch: Batch, row: str
) -> Iterator[Chunk]:
    """Yield the images of a batch with their activations, a chunk at a time."""
    chunks = batch.numbers // CHUNK
    for chunk in sorted(set(chunks.tolist())):
        members = chunks == chunk
        numbers = batch.numbers[members]
        views = batch.images[members, 0]
        padded = torch.zeros(CHUNK, *views.shape[1:], dtype=seen.dtype)
        padded[numbers % CHUNK] = views.to(seen.dtype)
        with torch.inference_mode():
            activations = features(padded)[numbers % CHUNK]
        if not bool(activations.isfinite().all()):
            finite = activations.flatten(1).isfinite().all(1)
            raise DataError(
                f"the activations of {row} of {seen.net.name} are not finite for image "
                f"{int(numbers[~finite][0]):,}, counted from 0"
            )
        yield Chunk(numbers, batch.labels[members], views, activations)


def split_of(seen: Seen, data: str | None, split: str) -> Dataset:
    """Return a split of a data set.

    Args:
        seen: the net.
        data: a data set, such as ``digits``; by default that of the run.
        split: ``train`` or ``validation``.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: the data cannot be read, or is not known.
    """
    from netspec.data.opening import open_data

    split = choice("split", split, SPLITS)
    if data is not None:
        require_type("data", data, str, "a data set, such as digits or images:DIR")
    name = seen.subject.data if data is None else data
    if name is None:
        raise DataError(f"{seen.net.name} does not have a data set: give one with --data")
    chosen: Dataset = getattr(open_data(name), split)
    return chosen


# ------------------------------------------------------------------------------------------- state


def part_of(state: Path, name: str) -> Path:
    """Return the file of one of several passes, which :func:`forget` also removes."""
    return state.with_name(f"{state.name}-{name}")


def forget(state: Path) -> None:
    """Remove a saved pass, and its parts, if they exist.

    Raises:
        DataError: a file cannot be removed.
    """
    try:
        for path in (state, *state.parent.glob(f"{glob.escape(state.name)}-*")):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot remove {state}: {reason_of(error)}") from None


def _key(seen: Seen, dataset: Dataset, end: str, summary: Summary) -> str:
    """Return the digest of all that the result of a pass depends on."""
    digest = sha256()
    shapes = {name: list(tensor.shape) for name, tensor in summary.tensors().items()}
    expects = seen.subject.expects
    about = [seen.net.name, end, dataset.digest, str(expects), shapes, str(seen.dtype), CHUNK]
    digest.update(json.dumps(about, default=str).encode())
    if expects.image is not None:
        digest.update(expects.image.tobytes())
    digest.update(sha256(summary.about).digest())
    for name, tensor in seen.model.state_dict().items():
        digest.update(name.encode())
        digest.update(bytes_of(tensor.contiguous()))
    return digest.hexdigest()


def save_state(state: Path, key: str, tensors: Mapping[str, Tensor], *counts: int) -> None:
    """Write the tensors of unfinished work, two counts, and the digest of what it depends on."""
    save_tensors({**tensors, _COUNTS: torch.tensor(counts)}, state, {_KEY: key})


def resumed_state(
    state: Path, key: str, new: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[int]]:
    """Return the tensors and the counts of unfinished work.

    Args:
        state: the file.
        key: the digest of what the work depends on.
        new: tensors of the same names, types and shapes: those of work that has not begun.

    Raises:
        DataError: the file cannot be read, or is of other work.
    """
    expected = {name: Stored(tensor.dtype, tuple(tensor.shape)) for name, tensor in new.items()}
    expected[_COUNTS] = Stored(torch.int64, (2,))
    with opened_tensors(state, "a saved pass", "remove it to begin again") as file:
        if file.notes.get(_KEY) != key or file.tensors != expected:
            raise DataError(
                f"{state} is not the state of this pass: the net, its weights, the data, the row "
                "or an option differ; remove it, or write to another file"
            )
        tensors = file.read()
    return tensors, tensors.pop(_COUNTS).tolist()


def _resumed(state: Path, key: str, summary: Summary) -> tuple[int, int]:
    """Take over a saved pass; return the next image and the number of those that were used."""
    if not state.exists():
        return 0, 0
    tensors, (start, used) = resumed_state(state, key, summary.tensors())
    summary.take(tensors)
    return start, used


_COUNTS, _KEY = "counts", "pass"
