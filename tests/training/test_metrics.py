from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from netspec import DataError
from netspec.training import run as runs
from netspec.training.checkpoint import Checkpoint, State
from netspec.training.directory import METRICS
from netspec.training.loop import resume
from netspec.training.metrics import Epoch, Metrics, read_metrics
from netspec.training.run import Run


def epoch(number: int) -> Epoch:
    return Epoch(number, 23 * number, 1, 2.5, 50.0, 40.0, 10.0, 1000.0, 0.5, 0, 1.5)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    metrics = Metrics(tmp_path, 0, 0)
    metrics.add(epoch(1))
    metrics.add(epoch(2))
    metrics.close()
    return tmp_path


def test_epochs_come_back_as_they_went(two: Path) -> None:
    assert read_metrics(two) == [epoch(1), epoch(2)]
    with (two / METRICS).open("ab") as file:
        file.write(b'{"epoch": 3, "ste')  # a process was killed
    assert read_metrics(two) == [epoch(1), epoch(2)]
    Metrics(two, 1, 23).close()
    assert read_metrics(two) == [epoch(1)]


def test_lines_of_an_earlier_version_are_read(two: Path) -> None:
    lines = [json.loads(line) for line in (two / METRICS).read_text().splitlines()]
    for line in lines:
        line.pop("sha256")
    (two / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_metrics(two) == [epoch(1), epoch(2)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"top1": 40.0', '"top1": 41.0', "line 1 of .* is damaged: `sha256` is not the digest"),
        ('"top1": 40.0', '"top1": NaN', "line 1 of .* contains NaN"),
        ("}\n", "\n", "line 1 of .* is not JSON"),
        ('{"epoch": 1', '{"epoch": 1}\n{"epoch": 1', "line 1 of .* `steps` is missing"),
    ],
)
def test_a_damaged_line_is_named(two: Path, old: str, new: str, message: str) -> None:
    text = (two / METRICS).read_text()
    (two / METRICS).write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_metrics(two)


def test_a_missing_epoch_is_named(two: Path) -> None:
    first, second = (two / METRICS).read_text().splitlines(keepends=True)
    (two / METRICS).write_text(second)
    with pytest.raises(DataError, match="line 1 is for epoch 2"):
        read_metrics(two)
    (two / METRICS).write_text(first)
    with pytest.raises(DataError, match="contains 1 epochs, but the run has 2"):
        Metrics(two, 2, 46)


def test_what_is_too_large_or_a_link_is_not_read(two: Path, tmp_path: Path) -> None:
    with (two / METRICS).open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match="more than 67,108,864 bytes"):
        read_metrics(two)
    (two / METRICS).rename(tmp_path / "elsewhere")
    (two / METRICS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="it is a link"):
        read_metrics(two)


def test_events_are_whole_records(two: Path) -> None:
    """The frame of each record is checked as TFRecord files are: length, sums, content."""
    import struct

    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    metrics = Metrics(two, 2, 46)  # within the same second: a file of its own
    metrics.close()
    first, second = sorted(two.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_size)
    assert second.stat().st_size > first.stat().st_size > 0
    content, tags, at = second.read_bytes(), [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        body = content[at + 12 : at + 12 + length]
        sums = struct.unpack_from("<I", content, at + 8) + struct.unpack_from(
            "<I", content, at + 12 + length
        )
        assert sums == (masked_crc32c(content[at : at + 8]), masked_crc32c(body))
        tags += [value.tag for value in Event.FromString(body).summary.value]
        at += 16 + length
    assert tags.count("error/top1") == 2


def test_a_run_is_read_beside_the_process_that_trains_it(
    paused: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch that ends between the two files is no damage."""
    directory = tmp_path / "run"
    shutil.copytree(paused, directory)
    run = Run.open(directory)
    state_in, reading = Checkpoint.state_in, read_metrics

    def goes_on() -> None:
        if not run.is_finished:
            resume(directory)

    def state(path: Path) -> State:
        current = state_in(path)
        goes_on()
        return current

    def rows(path: Path) -> list[Epoch]:
        current = reading(path)
        goes_on()
        return current

    before = reading(directory)
    monkeypatch.setattr(Checkpoint, "state_in", staticmethod(state))
    monkeypatch.setattr(runs, "read_metrics", rows)
    assert run.epochs()[: len(before)] == before
