"""What a run tells of each epoch: a line of JSON, and events for TensorBoard."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from netspec.training.run import METRICS, writing_into
from netspec.writing import write_whole


@dataclass(frozen=True)
class Epoch:
    """An epoch that is over.  Errors are percentages of images.

    Attributes:
        epoch: its number, from 1.
        steps: how many there were since the run began.
        lr: the learning rate.
        loss, train_error: means over the epoch, while weights changed and with augmentation.
        top1, top5: of the validation set, behind the epoch: how often the right class is not the
            best, and not among the best five.
        images_per_second: while learning.
        waiting: the share of that time in which the device waited for data, 0 to 1.
        corrupt: images that could not be read, and were left out.
        seconds: since the run began, pauses left out.
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


class Metrics:
    """The epochs of a run, in its files.

    Args:
        directory: of the run.
        epochs: how many are over; what an interrupted process told of later ones goes.
        steps: how many steps that was.
    """

    def __init__(self, directory: Path, epochs: int, steps: int) -> None:
        self._directory, self._path = directory, directory / METRICS
        self.rows = read_metrics(directory)[:epochs]
        if self._path.exists():
            write_whole(self._path, b"".join(map(_line, self.rows)))
        with writing_into(directory):
            self._events = _Events(directory, steps)

    def add(self, row: Epoch) -> None:
        """Tell of an epoch.

        Raises:
            DataError: the files cannot be written.
        """
        self.rows.append(row)
        with writing_into(self._directory):
            with self._path.open("ab") as file:
                file.write(_line(row))
                file.flush()
                os.fsync(file.fileno())
            self._events.add(row)

    def close(self) -> None:
        """No more epochs."""
        self._events.close()


def read_metrics(directory: Path) -> list[Epoch]:
    """The epochs of a run, without a last line that was cut off."""
    path = directory / METRICS
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [Epoch(**json.loads(line)) for line in lines if line.endswith(b"\n")]


def _line(row: Epoch) -> bytes:
    return json.dumps(asdict(row)).encode() + b"\n"


class _Events:
    """Events as TensorBoard reads them, written at once: what fails is known."""

    def __init__(self, directory: Path, steps: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        # by process, because the name has nothing else but the second
        self._writer = EventsWriter(str(directory / "events"), f".{os.getpid()}")
        start = SessionLog(status=SessionLog.START)  # hides what was told of later steps
        self._writer.write_event(Event(step=steps, session_log=start))

    def add(self, row: Epoch) -> None:
        from time import time

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
        }
        for name, value in shown.items():
            event = Event(step=row.steps, wall_time=time(), summary=scalar(name, value))
            self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        with suppress(OSError):  # what could not be written was told when it was added
            self._writer.close()
