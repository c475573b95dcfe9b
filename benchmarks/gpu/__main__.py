"""Run the stages that are not done yet: ``python3 -m benchmarks.gpu FOLDER [--budget SECONDS]``.

Results are appended to FOLDER/results.jsonl at once.  A stage is a process that is killed at its
limit.  The same command goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

from benchmarks.gpu.cache import KERNELS, carry
from benchmarks.gpu.journal import END, FOLDER, DamagedJournal, Journal
from benchmarks.gpu.plan import stages
from benchmarks.gpu.processes import Ended, Start, end_leftovers, interruptible, run
from benchmarks.gpu.runner import finished
from benchmarks.gpu.runner import run as run_all

ROOT = Path(__file__).parents[2]
BUDGET = 330.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where results are appended")
    parser.add_argument(
        "--budget", type=float, default=BUDGET, help=f"seconds; by default {BUDGET:.0f}"
    )
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="run only these stages")
    parser.add_argument("--list", action="store_true", help="print the stages, then exit")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "netspec-gpu",
        help="where compiled code is kept between calls",
    )
    options = parser.parse_args(arguments)
    if options.folder.exists() and not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder: name one in which results are appended")
    journal, every = Journal(options.folder.resolve()), stages()
    try:
        done = finished(journal)
    except DamagedJournal as error:
        parser.error(f"{error}; name another folder")
    known = [stage.name for stage in every]
    for name in options.only or ():
        if name not in known:
            parser.error(f"there is no stage {name!r}: the stages are {', '.join(known)}")
    if options.list:
        for stage in every:
            state = "done" if stage.name in done else ""
            print(f"{stage.name:<24}{stage.usual:4.0f} s, at most {stage.limit:3.0f} s  {state}")
        return 0
    chosen = [stage for stage in every if not options.only or stage.name in options.only]
    try:
        with interruptible(), alone(journal.folder):
            end_leftovers(FOLDER, str(journal.folder))
            start = starter(journal, environment(options.work))
            return run_all(chosen, journal, options.budget, start, python=sys.executable)
    except BlockingIOError:
        print(f"another run writes to {journal.folder}: wait until it ends", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command continues with this stage", file=sys.stderr)
        return 130


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Allow one run for a folder.

    Raises:
        BlockingIOError: another process runs stages for this folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # the file system does not have locks
        yield
    finally:
        os.close(lock)


def starter(journal: Journal, variables: Mapping[str, str]) -> Start:
    """Return a function that runs a stage; what it prints goes to ``log.txt``."""
    journal.folder.mkdir(parents=True, exist_ok=True)
    log = journal.folder / "log.txt"
    common = {**variables, FOLDER: str(journal.folder)}

    def start(command: Sequence[str], limit: float, own: Mapping[str, str]) -> Ended:
        with log.open("ab") as file:
            file.write(f"=== {' '.join(command[1:])}\n".encode())
        end = {END: f"{time.monotonic() + limit:.2f}"}
        return run(command, limit, {**common, **end, **own}, log, ROOT)

    return start


def environment(work: Path) -> dict[str, str]:
    """Return the variables of all stages: where modules are, and where compiled code is kept.

    A bundle has lark's wheel, which Python imports without installing it, and kernels that were
    compiled for Triton's cache.
    """
    paths = [ROOT, *ROOT.glob("lark-*.whl"), *filter(None, [os.environ.get("PYTHONPATH")])]
    kernels, cache = ROOT / KERNELS, work / "triton"
    if kernels.exists():
        unpack(kernels, cache)
    return {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONUNBUFFERED": "1",
        "TRITON_CACHE_DIR": str(cache),
        "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"),
        "XDG_CACHE_HOME": str(work / "cache"),
    }


def unpack(kernels: Path, cache: Path) -> None:
    """Put the kernels of a bundle into a cache, which may have those of another bundle."""
    with ZipFile(kernels) as archive, tempfile.TemporaryDirectory() as folder:
        names = [name for name in archive.namelist() if not (cache / Path(name).parts[0]).exists()]
        archive.extractall(folder, names)
        carry([one.name for one in Path(folder).iterdir()], Path(folder), cache)


if __name__ == "__main__":
    sys.exit(main())
