from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from netspec import DataError
from netspec.training.directory import LOCK, locked, make
from tests.forked import forkserver


def is_free(directory: Path) -> bool:
    try:
        with locked(directory):
            return True
    except DataError as error:
        assert "is being trained by another process or thread" in str(error)
        assert f"process {os.getpid()} on" in str(error)
        return False


def test_the_lock_excludes_threads_and_a_refused_attempt_does_not_release_it(
    tmp_path: Path,
) -> None:
    answers: list[bool] = []
    with locked(tmp_path):
        for _ in range(3):
            assert not is_free(tmp_path)
            thread = threading.Thread(target=lambda: answers.append(is_free(tmp_path)))
            thread.start()
            thread.join()
        (tmp_path / LOCK).read_bytes()  # opening and closing the file releases nothing either
        assert not _is_free_elsewhere(tmp_path)
    assert answers == [False] * 3
    assert is_free(tmp_path)
    assert _is_free_elsewhere(tmp_path)


def test_many_threads_have_the_lock_one_at_a_time(tmp_path: Path) -> None:
    inside, most, had = [0], [0], [0]

    def work() -> None:
        for _ in range(200):
            try:
                with locked(tmp_path):
                    inside[0] += 1
                    most[0], had[0] = max(most[0], inside[0]), had[0] + 1
                    inside[0] -= 1
            except DataError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert had[0] > 10


def _attempt(directory: Path, answer: Connection) -> None:
    try:
        with locked(directory):
            answer.send(True)
    except DataError:
        answer.send(False)


def _is_free_elsewhere(directory: Path) -> bool:
    here, there = forkserver().Pipe()
    process = forkserver().Process(target=_attempt, args=(directory, there))
    process.start()
    answer: bool = here.recv()
    process.join()
    return answer


def _locked_with_a_child(directory: Path, answer: Connection) -> None:
    """Take the lock, fork a child, and stay, as the child does."""
    with locked(directory):
        if not os.fork():
            answer.send(os.getpid())
        signal.pause()


def test_a_child_that_outlives_the_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    here, there = forkserver().Pipe()
    process = forkserver().Process(target=_locked_with_a_child, args=(tmp_path, there))
    process.start()
    child = here.recv()  # it runs, and has left the lock to its parent
    process.kill()
    process.join()
    try:
        os.kill(child, 0)  # it lives
        assert is_free(tmp_path)
    finally:
        os.kill(child, 9)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_that_is_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    directory, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    directory.mkdir()
    elsewhere.write_text("mine")
    if kind == "link":
        (directory / LOCK).symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(directory / LOCK)
    else:
        (directory / LOCK).mkdir()
    with pytest.raises(DataError, match="cannot write into the run"), locked(directory):
        pytest.fail("it was locked")
    assert elsewhere.read_text() == "mine"


def test_a_run_is_made_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    make(tmp_path / "link", {"run.json": b"{}"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "run.json").read_bytes() == b"{}"


def test_the_folder_that_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^\. is the current folder: name a new folder"):
        make(Path(), {"run.json": b"{}"})
    assert not os.listdir(tmp_path)
