"""The files of a run directory: how they are read and written, and by one process at a time.

A run may come from another person.  So its members are plain files in real folders, no link is
followed, and each has a largest size.  ``members.sha256`` holds the digests of those that never
change once they are written, as ``sha256sum -c members.sha256`` checks them; files of tensors and
lines of metrics carry their own.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from netspec.artifact.manifest import PLAN, SPEC, WEIGHTS
from netspec.errors import DataError
from netspec.files.members import shown
from netspec.files.reading import read_plain, reason_of
from netspec.files.writing import NEW, beside, followed, sweep, sync_folder, write_whole
from netspec.language.limits import MAX_BYTES

ABOUT, CHECKPOINT, LOCK = "run.json", "checkpoint.safetensors", "lock"
METRICS, SNAPSHOTS, STATISTICS = "metrics.jsonl", "snapshots", "statistics.safetensors"
SUMS = "members.sha256"

FILES = (ABOUT, SUMS, SPEC, PLAN, STATISTICS, METRICS, CHECKPOINT, WEIGHTS, LOCK)
FOLDERS = ("files", SNAPSHOTS)

LARGEST = {ABOUT: 2**23, SUMS: 2**21, PLAN: 2**24, METRICS: 2**26}
"""Bytes of a member that is read as a whole; others are specs."""

_SUM = re.compile(r"([0-9a-f]{64})  ([a-z0-9/]{1,32}\.(?:json|net))")


def is_run(path: str | Path) -> bool:
    """Return whether a path is a run directory."""
    return os.path.lexists(Path(path) / ABOUT)


@dataclass(frozen=True)
class Members:
    """The members of a run directory.

    Attributes:
        directory: where they lie.
        digests: SHA-256 of some by name; of none in a run of an earlier version.
    """

    directory: Path
    digests: Mapping[str, str]

    @classmethod
    def of(cls, directory: Path) -> Members:
        """Return the members of a directory that is there.

        Raises:
            DataError: one is not a plain file, or the digests are damaged.
        """
        for name in (*FILES, *FOLDERS):
            path, is_kind = directory / name, stat.S_ISDIR if name in FOLDERS else stat.S_ISREG
            with _reading(directory), suppress(FileNotFoundError):
                if not is_kind(path.lstat().st_mode):
                    kind = "folder" if name in FOLDERS else "plain file"
                    raise DataError(
                        f"cannot read the run {directory}: {name} in it is not a {kind}, and no "
                        "link, pipe or device is taken for one"
                    )
        members = cls(directory, {})
        return cls(directory, _digests(members.read(SUMS))) if members.has(SUMS) else members

    def has(self, name: str) -> bool:
        """Return whether there is such a member."""
        return os.path.lexists(self.directory / name)

    def read(self, name: str) -> bytes:
        """Return the content of a member, once its digest is right.

        Raises:
            DataError: it cannot be read, is too large, or is damaged.
        """
        content = read_plain(self.directory / name, LARGEST.get(name, MAX_BYTES))
        if name in self.digests and sha256(content).hexdigest() != self.digests[name]:
            raise DataError(
                f"{self.directory / name} is damaged: it has another digest than {SUMS} says; "
                f"restore it from a copy, or, if you changed it, remove its line from {SUMS}"
            )
        return content

    def keep(self, name: str, content: bytes) -> None:
        """Write a member that does not change any more, and its digest.

        Raises:
            DataError: it cannot be written.
        """
        write_whole(self.directory / name, content)
        digests = {**self.digests, name: sha256(content).hexdigest()}
        write_whole(self.directory / SUMS, sums(digests))

    def change(self, name: str, content: bytes) -> None:
        """Write a member anew.  Meanwhile it has no digest: a process that is killed leaves either.

        Raises:
            DataError: it cannot be written.
        """
        others = {other: d for other, d in self.digests.items() if other != name}
        if name in self.digests:
            write_whole(self.directory / SUMS, sums(others))
        Members(self.directory, others).keep(name, content)


def sums(digests: Mapping[str, str]) -> bytes:
    """Return what :data:`SUMS` holds."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def _digests(content: bytes) -> dict[str, str]:
    digests = {}
    for line in content.decode("latin-1").splitlines():
        match = _SUM.fullmatch(line)
        if match is None:
            raise DataError(f"{SUMS} is damaged at {shown(line)}: remove it, or restore it")
        digests[match[2]] = match[1]
    return digests


@contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Raise DataError with the name of the run where it cannot be written into."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write into the run {directory}: {reason_of(error)}") from None


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read the run {directory}: {reason_of(error)}") from None


def require_new(directory: Path) -> None:
    """Raise DataError if something else is where a run directory is to be made."""
    if directory.exists() and not directory.is_dir():
        raise DataError(f"{directory} is a file: name a folder for the run")
    if is_run(directory):
        raise DataError(
            f"{directory} holds a run already: go on with it, netspec train --resume {directory}, "
            "or name another folder"
        )
    try:
        if directory.is_dir() and any(directory.iterdir()):
            raise DataError(f"{directory} holds other files: name another folder for the run")
        if followed(directory) == Path.cwd():
            raise DataError(f"{directory} is the folder that you are in: name a new one in it")
    except OSError as error:
        raise _cannot_make(directory, error) from None


def make(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make a run directory with files in it, under another name beside it, and then rename it.

    Raises:
        DataError: something else is there already, or the directory cannot be made.
    """
    require_new(directory)
    try:
        target = followed(directory)  # a person may name a link, or an empty folder
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside(target) as folder:
            new = folder / NEW
            new.mkdir()
            for name, content in files.items():
                (new / name).parent.mkdir(exist_ok=True)
                write_whole(new / name, content)
            new.replace(target)
            sync_folder(target.parent)
    except OSError as error:
        raise _cannot_make(directory, error) from None


def _cannot_make(directory: Path, error: OSError) -> DataError:
    return DataError(f"cannot make the run directory {directory}: {reason_of(error)}")


def remove(directory: Path) -> None:
    """Remove a run directory, first that which makes it one, so that no half of a run is left.

    Raises:
        DataError: it cannot be removed.
    """
    with writing_into(directory):
        target = followed(directory)
        (target / ABOUT).unlink()
        shutil.rmtree(target)


# ------------------------------------------------------------------------------------ one at a time

_LOCKS = set[int]()
"""Descriptors of the locks that this process has."""


def _leave_to_the_parent() -> None:
    """Close the locks in a forked child, which would otherwise keep them when its parent ends.

    Processes that are started another way, as those that load data are, do not inherit them.
    """
    while _LOCKS:
        os.close(_LOCKS.pop())


os.register_at_fork(after_in_child=_leave_to_the_parent)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let no other process and no other thread train in the directory meanwhile.

    The lock is of the open file (``flock``), so that another attempt in this process is refused,
    and gives up nothing when it closes the file.  It goes with the process, however that ends.

    Raises:
        DataError: another process or thread has the lock, or the directory is read-only.
    """
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with writing_into(directory):
        descriptor = os.open(directory / LOCK, flags, 0o666)
    _LOCKS.add(descriptor)
    try:
        with writing_into(directory):
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(None, f"{LOCK} in it is not a plain file")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                by = shown(os.read(descriptor, 200).decode("latin-1").strip())
                raise DataError(
                    f"{directory} is being trained by another process or thread ({by}): "
                    "wait until it has ended, or stop it"
                ) from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode())
            _sweep(directory)
        yield
    finally:
        if descriptor in _LOCKS:  # else this is a child, which has closed it
            _LOCKS.remove(descriptor)
            os.close(descriptor)


_LEFT = re.compile(
    rf"\.tmp[A-Za-z0-9]{{6}}|\.({'|'.join(map(re.escape, FILES))}|epoch-\d+\.safetensors)\.\d+"
)
"""The names that files had while earlier versions wrote them."""


def _sweep(directory: Path) -> None:
    """Remove what killed processes began to write: work folders, and plain files of our names."""
    for folder in (directory, directory / SNAPSHOTS):
        sweep(folder)
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if _LEFT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)
