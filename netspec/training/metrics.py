"""The metrics of a run: for each epoch a line of JSON, and events for TensorBoard."""

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
    """An epoch that is over.  Errors are percentages of images.

    Attributes:
        epoch: its number, from 1.
        steps: their number since the run began.
        lr: the learning rate.
        loss, train_error: means over the epoch, while weights changed and with augmentation.
        top1, top5: of the validation set, after the epoch: how often the right class is not the
            best, and not among the best five.
        images_per_second: while learning.
        waiting: the share of that time in which the device waited for data, 0 to 1.
        corrupt: images that could not be read, and were left out.
        seconds: since the run began, without pauses.
        untested: images of the validation set that could not be used.
        untested_classes: the names of classes of which no image was tested.
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
    """The epochs of a run, in its files.

    Args:
        directory: of the run.
        epochs: the number that are over; lines that an interrupted process wrote of later ones
            are removed.
        steps: the number of steps in these epochs.
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
        """Write an epoch.

        Raises:
            DataError: the files cannot be written.
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
    """Return the epochs of a run, without a last line that was cut off.

    Raises:
        DataError: the file cannot be read, or is damaged.
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
                f"{path} is damaged: line {count:,} is of epoch {row.epoch:,}; {_AGAIN}"
            )
        rows.append(row)
    return rows


def require_epochs(rows: list[Epoch], count: int, directory: Path) -> list[Epoch]:
    """Return the rows, if there are at least ``count``.

    Raises:
        DataError: some are missing.
    """
    if len(rows) < count:
        raise DataError(
            f"{directory / METRICS} holds {len(rows):,} epochs, and the run has learned {count:,}; "
            f"{_AGAIN}"
        )
    return rows


_AGAIN = "restore the file from a copy, or begin another run with --init-from this one"

DIGEST = "sha256"
"""The digest of a line's other members; lines of earlier versions do not have it."""

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
    """Events as TensorBoard reads them, written at once: what fails is known."""

    def __init__(self, directory: Path, steps: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._file = _new_file(directory)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)  # hides what was told of later steps
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
        """Write a record: its length, the length's check sum, the event, and its check sum."""
        from tensorboardX.record_writer import masked_crc32c

        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        for piece, check in ((length, masked_crc32c(length)), (content, masked_crc32c(content))):
            self._file.write(piece + struct.pack("<I", check))

    def close(self) -> None:
        with suppress(OSError):  # what could not be written was told when it was added
            self._file.close()


def _new_file(directory: Path) -> BinaryIO:
    """Open a new file of events, by the second, machine and process, and a number if need be."""
    stem = f"events.out.tfevents.{int(time.time())}.{os.uname().nodename}.{os.getpid()}"
    for count in range(1000):
        with suppress(FileExistsError):
            return (directory / (f"{stem}.{count}" if count else stem)).open("xb")
    raise FileExistsError(None, "too many files of events were made in a second", stem)
