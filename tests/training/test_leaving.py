"""A rank that ends too early is named by the others, and no other is, however busy it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch

from netspec.errors import DataError
from netspec.training.leaving import LONGEST, PATIENCE, Process, _undisturbed
from netspec.training.parallel import Ranks, start
from tests.forked import forkserver
from tests.training.ranks import environment, free_port

PROCESSES = 3


def die(ranks: Ranks) -> None:
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)


BUSY = 4.0
"""Seconds in which a rank that lives says nothing."""


def die_while_others_are_busy(ranks: Ranks) -> None:
    """Rank 0, where the others meet, and rank 2 learn of it at once; rank 3 later."""
    die(ranks)
    if ranks.rank == 3:
        sleep(BUSY)


def stop(ranks: Ranks) -> None:
    if ranks.rank == 1:
        raise DataError("the disk is full")


def stop_first(ranks: Ranks) -> None:
    """Rank 0 keeps the store; the others are in a collective with it when it stops."""
    if ranks.rank == 0:
        sleep(1)
        raise DataError("the disk is full")


def go_on(ranks: Ranks) -> None:
    pass


def take_part(
    number: int, processes: int, port: int, folder: Path, end: Callable[[Ranks], None]
) -> None:
    """Add up until it goes no further, and write down what was said then, and how long it took."""
    os.environ.update(environment(number, processes, port))
    said, began = "", monotonic()
    try:
        with start() as ranks:
            assert ranks.sum(torch.ones(1)) == processes
            began = monotonic()
            end(ranks)
            ranks.sum(torch.ones(1))
    except DataError as error:
        said = str(error)
    (folder / f"{number}").write_text(f"{os.getpid()}\n{monotonic() - began}\n{said}")


def parting(
    folder: Path, end: Callable[[Ranks], None], count: int = PROCESSES
) -> dict[int, tuple[str, float]]:
    """What each rank that is left said, and the seconds until it did."""
    context = forkserver()
    port = free_port()
    arguments = [(number, count, port, folder, end) for number in range(count)]
    processes = [context.Process(target=take_part, args=one) for one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    endings = {}
    for path in folder.iterdir():
        _, seconds, said = path.read_text().split("\n", 2)
        endings[int(path.name)] = said, float(seconds)
    return endings


def test_a_rank_that_dies_is_named(tmp_path: Path) -> None:
    endings = parting(tmp_path, die)
    assert endings.keys() == {0, 2}
    for said, seconds in endings.values():
        assert said.startswith("rank 1 (process ")
        assert said.endswith(" has died")
        assert seconds < 2 * PATIENCE + 10  # a machine that tests run on may be slow


def test_a_rank_that_lives_is_not_named_however_late_it_is(tmp_path: Path) -> None:
    endings = parting(tmp_path, die_while_others_are_busy, count=4)
    assert endings.keys() == {0, 2, 3}
    (said,) = {said for said, _ in endings.values()}
    # rank 3 is late for a collective with rank 0, which has closed it: neither waits for the other
    assert max(seconds for _, seconds in endings.values()) < LONGEST
    assert said.startswith("rank 1 (process ")
    assert said.endswith(" has died")
    assert "rank 0" not in said
    assert "rank 3" not in said


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_whether_a_process_lives_is_known_for_certain() -> None:
    me = Process.current()
    assert not me.has_died()
    assert me._replace(started="1").has_died(), "another process has its number"
    assert not me._replace(started="1", machine="another").has_died(), "nothing is known of it"
    assert not me._replace(started="1", machine="").has_died()
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it is dead, and there until waited for
    stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    zombie = me._replace(number=child, started=stat[19])
    assert stat[0] == "Z"
    assert zombie.has_died()
    os.waitpid(child, 0)
    assert zombie.has_died()


def test_a_rank_that_stops_tells_why(tmp_path: Path) -> None:
    endings = parting(tmp_path, stop)
    assert endings[1][0] == "the disk is full"
    for number in (0, 2):
        assert endings[number][0] == "rank 1 has stopped: the disk is full"


def test_the_first_rank_tells_why_it_stops(tmp_path: Path) -> None:
    endings = parting(tmp_path, stop_first)
    assert endings[0][0] == "the disk is full"
    for number in (1, 2):
        assert endings[number][0] == "rank 0 has stopped: the disk is full"
    assert max(seconds for _, seconds in endings.values()) < LONGEST


def test_the_signal_that_torchrun_sends_to_all_ranks_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        for is_of_torchrun, ignored in ((True, 1), (False, 0)):
            monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
            if not is_of_torchrun:
                monkeypatch.delenv("TORCHELASTIC_RUN_ID")
            seen.clear()
            with _undisturbed():
                pass
            for _ in range(3):
                signal.raise_signal(signal.SIGTERM)
            assert len(seen) == 3 - ignored
            seen.clear()
            with _undisturbed():
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert len(seen) == 1, "it has come already"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ranks_that_end_together_say_nothing(tmp_path: Path) -> None:
    assert {said for said, _ in parting(tmp_path, go_on).values()} == {""}
