from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import pytest

from netspec.errors import DataError
from netspec.files import writing
from netspec.files.writing import (
    PREFIX,
    beside,
    replacing,
    sweep,
    write_named,
    write_together,
    write_whole,
)

WRITES = pytest.mark.parametrize("write", [write_whole, write_named])
Write = Callable[[Path, bytes], None]


def content(number: int) -> bytes:
    """A content of a length of its own, every byte of which tells which it is."""
    return bytes([number]) * (100_000 + 1_000 * number)


# ------------------------------------------------------------------------ many writers and readers


def write_often(path: Path, number: int, times: int) -> None:
    for _ in range(times):
        write_whole(path, content(number))


def write_as_process_7(path: Path, number: int, times: int) -> None:
    """Write as a process in a container of its own does, whose number another one has as well."""
    os.getpid = lambda: 7
    write_often(path, number, times)


def torn(path: Path, is_done: Callable[[], bool]) -> tuple[int, int]:
    """How many reads of a file there were until others are done, and how many were no content."""
    reads = wrong = 0
    while not is_done():
        read = path.read_bytes()
        reads += 1
        wrong += read != content(read[0])
    return reads, wrong


def test_readers_see_whole_files_that_threads_write(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, content(0))
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write_often, path, number, 40) for number in range(4)]
        reads, wrong = torn(path, lambda: all(writer.done() for writer in writers))
        for writer in writers:
            writer.result()
    assert reads > 10
    assert wrong == 0
    assert os.listdir(tmp_path) == ["a"]


def test_readers_see_whole_files_that_processes_of_one_number_write(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, content(0))
    fork = multiprocessing.get_context("fork")
    writers = [
        fork.Process(target=write_as_process_7, args=(path, number, 40)) for number in range(3)
    ]
    for writer in writers:
        writer.start()
    reads, wrong = torn(path, lambda: not any(writer.is_alive() for writer in writers))
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert reads > 10
    assert wrong == 0
    assert os.listdir(tmp_path) == ["a"]


# ------------------------------------------------------------------------------ what is replaced


@WRITES
def test_permissions_stay_and_are_usual_for_a_new_file(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "a"
    (tmp_path / "usual").write_bytes(b"")
    write(path, b"1")
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    path.chmod(0o640)
    write(path, b"2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() == b"2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    os.chown(path, 12345, 54321)
    path.chmod(0o4755)
    write_whole(path, b"2")
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (12345, 54321)
    assert stat.S_IMODE(status.st_mode) == 0o4755


def link(path: Path) -> None:
    path.with_name("aim").write_bytes(b"aim")
    path.symlink_to("aim")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link, "it is a link: remove it"),
        (lambda path: path.symlink_to(path.name), "it is a link: remove it"),
        (Path.mkdir, "is a directory"),
        (os.mkfifo, "it is not a plain file: use another"),
    ],
)
def test_in_our_folders_only_plain_files_are_replaced(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    make(path)
    before = path.lstat(), sorted(os.listdir(tmp_path))
    with pytest.raises(DataError, match=f"cannot write {path}: {reason}"):
        write_whole(path, b"1")
    assert (path.lstat(), sorted(os.listdir(tmp_path))) == before
    if (tmp_path / "aim").exists():
        assert (tmp_path / "aim").read_bytes() == b"aim"


def test_a_device_is_never_replaced() -> None:
    before = os.stat("/dev/null")
    with pytest.raises(DataError, match="cannot write /dev/null: it is not a plain"):
        write_whole(Path("/dev/null"), b"1")
    write_named(Path("/dev/null"), b"1")
    assert os.stat("/dev/null").st_ino == before.st_ino


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/random"])
def test_other_devices_are_refused(device: str, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(device)
    for path in (Path(device), tmp_path / "a"):
        with pytest.raises(DataError, match=f"cannot write {path}: it is not a plain"):
            write_named(path, b"1")
    assert stat.S_ISCHR(os.stat(device).st_mode)


def test_a_terminal_is_written_into() -> None:
    ours, theirs = os.openpty()
    try:
        write_named(Path(os.ttyname(theirs)), b"1")
        assert os.read(ours, 10) == b"1"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_link_that_a_person_names_goes_on_leading_there(tmp_path: Path) -> None:
    link(tmp_path / "a")
    (tmp_path / "aim").chmod(0o600)
    (tmp_path / "b").symlink_to("new")
    write_named(tmp_path / "a", b"1")
    write_named(tmp_path / "b", b"2")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "b").is_symlink()
    assert (tmp_path / "aim").read_bytes() == b"1"
    assert stat.S_IMODE((tmp_path / "aim").stat().st_mode) == 0o600
    assert (tmp_path / "new").read_bytes() == b"2"
    (tmp_path / "c").symlink_to("c")
    with pytest.raises(DataError, match="too many levels of symbolic links"):
        write_named(tmp_path / "c", b"3")


def test_a_pipe_that_a_person_names_is_written_into(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(path.read_bytes)
        write_named(path, content(1))
        assert read.result() == content(1)
    assert stat.S_ISFIFO(path.stat().st_mode)


PROGRAM = (
    "import sys\nfrom pathlib import Path\nfrom netspec.files.writing import write_named\n"
    "write_named(Path(sys.argv[1]), bytes(300_000))"
)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_written_into(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, name]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == bytes(300_000)
    path = tmp_path / "a"
    path.write_bytes(b"before")
    with path.open("ab") as file:
        subprocess.run(command, stdout=file, check=True)
    assert path.read_bytes() == b"before" + bytes(300_000)


@WRITES
def test_a_file_that_may_not_be_written_stays(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o444)
    if os.geteuid() == 0:  # root may write it all the same
        opened = Path.open

        def closed(file: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if file == path and "+" in mode:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return opened(file, mode, *rest, **more)

        monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(DataError, match=f"cannot write {path}: permission denied"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


# -------------------------------------------------------------------------------- writes that fail


@WRITES
def test_what_does_not_fit_leaves_the_old_file(write: Write, tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that is full."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DataError, match=f"cannot write {path}: file too large"):
            write(path, content(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


class Interrupting:
    """Raises what Ctrl-C does as the n-th line of ``writing.py`` is reached."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != writing.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
def test_an_interrupt_at_any_line_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    interrupted = 0
    for at in range(1, 500):
        path.write_bytes(b"old")
        before = sys.gettrace()
        sys.settrace(Interrupting(at))
        try:
            write_whole(path, b"new")
        except KeyboardInterrupt:
            interrupted += 1
        else:
            break
        finally:
            sys.settrace(before)
        assert path.read_bytes() in (b"old", b"new")
        # an interrupt while a work folder is made or removed leaves it to the next save
        assert all(name.startswith(PREFIX) for name in os.listdir(tmp_path) if name != "a")
    assert interrupted > 40
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_bytes() == b"new"


def test_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def replaced(one: Path, to: Path) -> None:
        done.append("replaced")
        replace(one, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_whole(tmp_path / "a", b"1")
    assert done == ["new", "replaced", tmp_path.name]


# ------------------------------------------------------------------------------ killed processes

KILLED = (
    "import os, signal, sys\nfrom pathlib import Path\n"
    "from netspec.files.writing import replacing\n"
    "with replacing(Path(sys.argv[1])) as path:\n"
    "    path.write_bytes(b'half')\n"
    "    os.kill(os.getpid(), signal.SIGKILL)\n"
)


def test_what_a_killed_process_left_goes_with_the_next_save(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    write_whole(tmp_path / "b", b"new")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_what_another_is_writing_is_not_swept(tmp_path: Path) -> None:
    begun, swept = Event(), Event()

    def slow() -> None:
        with replacing(tmp_path / "a") as path:
            path.write_bytes(b"slow")
            begun.set()
            assert swept.wait(60)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(slow)
        assert begun.wait(60)
        write_whole(tmp_path / "b", b"1")
        sweep(tmp_path)
        subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "c")], check=True)
        swept.set()
        writer.result()
    assert (tmp_path / "a").read_bytes() == b"slow"
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_nothing_of_others_is_swept(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis").write_bytes(b"years")
    place = tmp_path / "place"
    place.mkdir()
    (place / f"{PREFIX}a1b2c3d4").symlink_to(outside)
    (place / f"{PREFIX}e5f6g7h8").write_bytes(b"a file")
    (place / f"{PREFIX}mine").mkdir()
    (place / ".netspec-a1b2c3d4").mkdir()
    (place / ".a.123").write_bytes(b"")
    (place / f"{PREFIX}i9j0k1l2" / "old").mkdir(parents=True)
    (place / f"{PREFIX}i9j0k1l2" / "lock").write_bytes(b"")
    (place / f"{PREFIX}q7r8s9t0").mkdir()
    (place / f"{PREFIX}q7r8s9t0" / "lock").symlink_to(outside / "thesis")
    (place / f"{PREFIX}m3n4o5p6" / "theirs").mkdir(parents=True)
    before = sorted(os.listdir(place))
    sweep(place)
    assert sorted(os.listdir(place)) == before
    assert (outside / "thesis").read_bytes() == b"years"
    (place / f"{PREFIX}a0a0a0a0").mkdir()
    sweep(place)
    assert sorted(os.listdir(place)) == before


@pytest.mark.parametrize(("owner", "name"), [(tempfile, "mkdtemp"), (writing, "_locks")])
def test_a_folder_that_is_swept_before_it_is_held_is_made_again(
    owner: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = getattr(owner, name), 0

    def swept(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            return step(*arguments, **more)
        if owner is writing:  # another process sweeps before this one locks
            sweep(tmp_path)
            return step(*arguments, **more)
        folder = step(*arguments, **more)
        sweep(tmp_path)
        return folder

    monkeypatch.setattr(owner, name, swept)
    with beside(tmp_path / "a") as folder:
        assert os.listdir(tmp_path) == [folder.name]
        assert os.listdir(folder) == ["lock"]
    assert calls > 1
    assert os.listdir(tmp_path) == []


def test_a_long_name_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("a" * 255), b"1")
    assert os.listdir(tmp_path) == ["a" * 255]


def test_of_several_files_none_changes_before_all_are_complete(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_together({first: b"1", second: b"2"})
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    for wrong in (tmp_path / "none" / "file", tmp_path):
        for contents in ({first: b"3", wrong: b"4"}, {wrong: b"4", first: b"3"}):
            with pytest.raises(DataError, match=f"cannot write {wrong}: "):
                write_together(contents)
            assert first.read_bytes() == b"1"
    assert sorted(os.listdir(tmp_path)) == ["first", "second"]


def test_a_file_that_cannot_take_its_place_leaves_the_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_together({first: b"1", second: b"2"})
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if target == second:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(DataError, match=f"cannot write {second}: "):
        write_together({first: b"3", second: b"4"})
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert sorted(os.listdir(tmp_path)) == ["first", "second"]
