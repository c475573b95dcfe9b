"""The metrics of a run: one line of JSON per epoch, and events for TensorBoard."""

from __future__ import annotations

import json
import os
import struct
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from netspec.errors import DataError
from netspec.files.members import (
    ANYTHING,
    Kind,
    Malformed,
    many,
    number,
    parsed,
    record,
    table,
    text,
    whole,
)
from netspec.files.reading import read_plain
from netspec.files.writing import write_whole
from netspec.training.directory import LARGEST, METRICS, writing_into


@dataclass(frozen=True)
class Epoch:
    """The metrics of a finished epoch.  Errors are percentages of images.

    Attributes:
        epoch: number of the epoch, from 1.
        steps: number of steps since the run began.
        lr: learning rate.
        loss, train_error: means over the steps of the epoch, with augmentation, while weights
            change.
        top1, top5: errors on the validation set after the epoch: how often the right class is not
            the best, and not among the best five.
        images_per_second: training throughput.
        waiting: share of the training time in which the device waited for data, 0 to 1.
        corrupt: number of training images that could not be read and were omitted.
        seconds: time since the run began, without pauses.
        untested: number of validation images that could not be used.
        untested_classes: names of the classes without a tested image.
    """

    epoch: int
    steps: int
    lr: float
    loss: float
    train_error: float
    top1: float
    top5: float
    images_per_second: float
    waiting: float
    corrupt: int
    seconds: float
    untested: int = 0
    untested_classes: tuple[str, ...] = ()


class Metrics:
    """The files of metrics of a run.

    Args:
        directory: the run directory.
        epochs: number of finished epochs.  Lines of later epochs, which an interrupted process may
            have written after its last checkpoint, are removed.
        steps: number of steps in these epochs.
    """

    def __init__(self, directory: Path, epochs: int, steps: int) -> None:
        self._directory, self._path = directory, directory / METRICS
        self.rows = read_metrics(directory)[:epochs]
        require_epochs(self.rows, epochs, directory)
        if os.path.lexists(self._path):
            write_whole(self._path, b"".join(map(_line, self.rows)))
        with writing_into(directory):
            self._events = _Events(directory, steps)

    def add(self, row: Epoch) -> None:
        """Write the metrics of an epoch.

        Raises:
            DataError: if the files cannot be written.
        """
        self.rows.append(row)
        with writing_into(self._directory):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(self._path, "ab", opener=lambda path, _: os.open(path, flags, 0o666)) as file:
                file.write(_line(row))
                file.flush()
                os.fsync(file.fileno())
            self._events.add(row)

    def close(self) -> None:
        """Close the files."""
        self._events.close()


def read_metrics(directory: Path) -> list[Epoch]:
    """Return the epochs of a run; an incomplete last line is ignored.

    Raises:
        DataError: if the file cannot be read or is damaged.
    """
    path = directory / METRICS
    if not os.path.lexists(path):
        return []
    *lines, _ = read_plain(path, LARGEST[METRICS]).split(b"\n")
    rows = []
    for count, line in enumerate(lines, 1):
        row = parsed(line, f"line {count:,} of {path}", _ROW, _AGAIN)
        if row.epoch != count:
            raise DataError(
                f"{path} is damaged: line {count:,} is for epoch {row.epoch:,}; {_AGAIN}"
            )
        rows.append(row)
    return rows


def require_epochs(rows: list[Epoch], count: int, directory: Path) -> list[Epoch]:
    """Return ``rows``.  Raise DataError if there are fewer than ``count``."""
    if len(rows) < count:
        raise DataError(
            f"{directory / METRICS} contains {len(rows):,} epochs, but the run has {count:,}; "
            f"{_AGAIN}"
        )
    return rows


_AGAIN = "restore the file from a copy, or start another run with --init-from this one"

DIGEST = "sha256"
"""Key of the digest of a line's other members; lines of earlier versions do not have it."""

_PERCENT = number(0, 100)

_EPOCH = record(
    Epoch,
    epoch=whole(1),
    steps=whole(0),
    lr=number(0),
    loss=number(),
    train_error=_PERCENT,
    top1=_PERCENT,
    top5=_PERCENT,
    images_per_second=number(0),
    waiting=number(0),
    corrupt=whole(0),
    seconds=number(0),
    untested=whole(0),
    untested_classes=many(text()),
)


def _row(value: Any, at: str) -> Epoch:
    members = table(ANYTHING).take(value, at)
    digest = members.pop(DIGEST, None)
    if digest is not None and digest != _digest(members):
        raise Malformed(DIGEST, "is not the digest of the line")
    new = {"untested": 0, "untested_classes": []}  # which earlier versions did not write
    return _EPOCH.take({**new, **members}, at)


_ROW = Kind("an epoch", _row)


def _digest(members: dict[str, Any]) -> str:
    return sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()


def _line(row: Epoch) -> bytes:
    members = asdict(row)
    return json.dumps({**members, DIGEST: _digest(members)}).encode() + b"\n"


class _Events:
    """A file of events for TensorBoard.

    tensorboardX's own writer writes in a thread, where errors are lost; this one writes directly.
    """

    def __init__(self, directory: Path, steps: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._file = _new_file(directory)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)  # hides events of later steps of an old process
        self._write(Event(step=steps, session_log=start))

    def add(self, row: Epoch) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        shown = {
            "error/train": row.train_error,
            "error/top1": row.top1,
            "error/top5": row.top5,
            "loss/train": row.loss,
            "learning/rate": row.lr,
            "speed/images_per_second": row.images_per_second,
            "speed/waiting": row.waiting,
            "left_out/train": row.corrupt,
            "left_out/validation": row.untested,
        }
        for name, value in shown.items():
            event = Event(step=row.steps, wall_time=time.time(), summary=scalar(name, value))
            self._write(event)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write(self, event: Any) -> None:
        """Write a record: its length, the checksum of the length, the event, and its checksum."""
        from tensorboardX.record_writer import masked_crc32c

        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        for piece, check in ((length, masked_crc32c(length)), (content, masked_crc32c(content))):
            self._file.write(piece + struct.pack("<I", check))

    def close(self) -> None:
        with suppress(OSError):  # `add` flushes, and has raised the error already
            self._file.close()


def _new_file(directory: Path) -> BinaryIO:
    """Open a new file of events, named by time, machine and process, and a number if needed."""
    stem = f"events.out.tfevents.{int(time.time())}.{os.uname().nodename}.{os.getpid()}"
    for count in range(1000):
        with suppress(FileExistsError):
            return (directory / (f"{stem}.{count}" if count else stem)).open("xb")
    raise FileExistsError(None, "too many event files were made in one second", stem)
