"""Read, write and lock the files of a run directory.

A run may come from another person and cannot be trusted.  So its members must be plain files in
real folders, links are not followed, and each member has a maximum size.  ``members.sha256`` holds
the digests of the members that do not change after they are written; ``sha256sum -c
members.sha256`` checks them.  Tensor files and lines of metrics hold their own digests.
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
"""Maximum size of a member in bytes; specs, which are not listed, have ``MAX_BYTES``."""

_SUM = re.compile(r"([0-9a-f]{64})  ([a-z0-9/]{1,32}\.(?:json|net))")


def is_run(path: str | Path) -> bool:
    """Return whether a path is a run directory."""
    return os.path.lexists(Path(path) / ABOUT)


@dataclass(frozen=True)
class Members:
    """The members of a run directory.

    Attributes:
        directory: path of the run directory.
        digests: SHA-256 of members by name; empty for a run of an earlier version.
    """

    directory: Path
    digests: Mapping[str, str]

    @classmethod
    def of(cls, directory: Path) -> Members:
        """Return the members of an existing run directory.

        Raises:
            DataError: if a member is not a plain file or folder, or the digests are damaged.
        """
        for name in (*FILES, *FOLDERS):
            path, is_kind = directory / name, stat.S_ISDIR if name in FOLDERS else stat.S_ISREG
            with _reading(directory), suppress(FileNotFoundError):
                if not is_kind(path.lstat().st_mode):
                    kind = "folder" if name in FOLDERS else "plain file"
                    raise DataError(
                        f"cannot read the run {directory}: {name} in it is not a {kind} (links, "
                        "pipes and devices are not accepted); restore it from a copy"
                    )
        members = cls(directory, {})
        return cls(directory, _digests(members.read(SUMS))) if members.has(SUMS) else members

    def has(self, name: str) -> bool:
        """Return True if the member exists."""
        return os.path.lexists(self.directory / name)

    def read(self, name: str) -> bytes:
        """Return the content of a member, after a check of its digest.

        Raises:
            DataError: if it cannot be read, is too large, or is damaged.
        """
        content = read_plain(self.directory / name, LARGEST.get(name, MAX_BYTES))
        if name in self.digests and sha256(content).hexdigest() != self.digests[name]:
            raise DataError(
                f"{self.directory / name} is damaged: its digest differs from that in {SUMS}; "
                f"restore it from a copy, or, if you changed it, remove its line from {SUMS}"
            )
        return content

    def keep(self, name: str, content: bytes) -> None:
        """Write a member that will not change any more, and its digest.

        Raises:
            DataError: if it cannot be written.
        """
        write_whole(self.directory / name, content)
        digests = {**self.digests, name: sha256(content).hexdigest()}
        write_whole(self.directory / SUMS, sums(digests))

    def change(self, name: str, content: bytes) -> None:
        """Replace the content of a member, and its digest.

        Raises:
            DataError: if it cannot be written.
        """
        # remove the digest first: if the process is killed before the new one is written, the
        # member, old or new, has no digest instead of a wrong one
        others = {other: d for other, d in self.digests.items() if other != name}
        if name in self.digests:
            write_whole(self.directory / SUMS, sums(others))
        Members(self.directory, others).keep(name, content)


def snapshot(directory: Path, epoch: int) -> Path:
    """Return the path of the weights after an epoch."""
    return directory / SNAPSHOTS / f"epoch-{epoch:04}.safetensors"


def snapshots(directory: Path) -> dict[int, Path]:
    """Return the files of weights that a run has kept, by epoch, in order.

    Raises:
        DataError: if the folder cannot be read.
    """
    paths = dict[int, Path]()
    with _reading(directory), suppress(FileNotFoundError), os.scandir(directory / SNAPSHOTS) as all:
        for entry in all:
            if match := re.fullmatch(r"epoch-(\d{4,9})\.safetensors", entry.name):
                paths[int(match[1])] = Path(entry.path)
    return dict(sorted(paths.items()))


def sums(digests: Mapping[str, str]) -> bytes:
    """Return the content of :data:`SUMS`, in the format of ``sha256sum``."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def _digests(content: bytes) -> dict[str, str]:
    digests = {}
    for line in content.decode("latin-1").splitlines():
        match = _SUM.fullmatch(line)
        if match is None:
            raise DataError(
                f"{SUMS} is damaged at {shown(line)}: remove it, or restore it from a copy"
            )
        digests[match[2]] = match[1]
    return digests


@contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Turn an OSError in the body into a DataError that names the run."""
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
    """Raise DataError if a new run directory cannot be made at this path."""
    if directory.exists() and not directory.is_dir():
        raise DataError(f"{directory} is a file: give a folder for the run")
    if is_run(directory):
        raise DataError(
            f"{directory} already contains a run: continue it with netspec train --resume "
            f"{directory}, or use another folder"
        )
    try:
        if directory.is_dir() and any(directory.iterdir()):
            raise DataError(f"{directory} contains other files: use another folder for the run")
        if followed(directory) == Path.cwd():
            raise DataError(f"{directory} is the current folder: name a new folder in it")
    except OSError as error:
        raise _cannot_make(directory, error) from None


def make(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make a run directory with files in it, whole or not at all.

    It is made under a temporary name next to the path, and then renamed.

    Raises:
        DataError: if the path is in use, or the directory cannot be made.
    """
    require_new(directory)
    try:
        target = followed(directory)  # users may name a link to a folder, or an empty folder
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
    """Remove a run directory.

    Raises:
        DataError: if it cannot be removed.
    """
    with writing_into(directory):
        target = followed(directory)
        (target / ABOUT).unlink()  # first: without it, what an error leaves is not taken for a run
        shutil.rmtree(target)


# -------------------------------------------------------------------------------------------- lock

_LOCKS = set[int]()
"""File descriptors of the locks that this process holds."""


def _leave_to_the_parent() -> None:
    """Close the locks in a forked child; otherwise it would hold them after its parent has ended.

    Workers that load data are not forked from this process and do not inherit the locks.
    """
    while _LOCKS:
        os.close(_LOCKS.pop())


os.register_at_fork(after_in_child=_leave_to_the_parent)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a run directory while the body runs: no other process or thread can train in it.

    The lock belongs to the open file (``flock``), not to the process as POSIX locks do.  So a
    second attempt in this process fails too, and closing that second file does not release the
    lock.  The system releases the lock when the process ends, even if it is killed.

    Raises:
        DataError: if another process or thread holds the lock, or the directory is read-only.
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
                    "wait until it ends, or stop it"
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
"""Temporary names that earlier versions gave to files while they wrote them."""


def _sweep(directory: Path) -> None:
    """Remove unfinished files of killed processes: work folders, and files with temporary names."""
    for folder in (directory, directory / SNAPSHOTS):
        sweep(folder)
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if _LEFT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)
