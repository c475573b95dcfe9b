"""Run all tests and benchmarks that need an NVIDIA GPU, in stages: ``make gpu``.

    python -m benchmarks.gpu [STAGE ...] [--again] [--list]

A stage is a command in its own process, which is killed after ten minutes.  If it succeeds, its
output (JSON or the last line) is stored in benchmarks/results/gpu-<gpu>.json.  A stage is not
repeated for the same GPU, versions and sources, except with ``--again``.  If a stage fails, it is
reported, the other stages run, and the exit code is 1.

STAGE is a name or the first part of several names: ``nets`` means all ``nets-...``.  A stage with
more than ten minutes of work ends with exit code 3.  Without STAGE it is then repeated until it is
done; with STAGE it runs once, and the exit code is 3.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

from benchmarks.results import FOLDER, LEFT, ROOT, Entry, digest, path_for, write

LIMIT = 600
"""The time limit of a stage in seconds."""
MEASURED = ("benchmarks", "grammars", "kernels", "netspec", "specs")
"""The folders on which the result of a stage depends."""
NETS = ("alexnet", "vgg16_3", "googlenet", "inception_v3")
NEEDS = (
    "make gpu needs an NVIDIA GPU with its driver, a CUDA build of PyTorch, and Triton "
    "(pip install torch triton), but PyTorch does not find a GPU on this machine"
)


class Stage(NamedTuple):
    """A stage of ``make gpu``.

    Attributes:
        name: of the stage.
        command: arguments of Python.
        sources: folders on whose sources the result depends; if empty, the result is not stored.
    """

    name: str
    command: tuple[str, ...]
    sources: tuple[str, ...] = MEASURED


def stages() -> Iterator[Stage]:
    """Yield all stages, in order."""
    yield Stage("machine", ("-m", "benchmarks.floors", "--describe"))
    for path in tests():
        name = "-".join(path.relative_to("tests").with_suffix("").parts).replace("test_", "")
        command = ("-m", "pytest", str(path), "-rs", *(() if is_whole(path) else ("-m", "gpu")))
        yield Stage(f"test-{name}", command, (*MEASURED, "tests"))
    yield Stage("floors", ("-m", "benchmarks.floors"))
    yield Stage("kernels", ("-m", "benchmarks.kernels", "--seconds", "480"))
    bench = ("-m", "netspec", "bench", "--device", "cuda", "--dtype", "bfloat16", "--json")
    for net in NETS:
        for batch in (1, 32, 256):
            yield Stage(f"nets-{net}-{batch}", (*bench, net, "--batch", str(batch)))
    for batch in (128, 256):
        yield Stage(f"steps-{batch}", ("-m", "benchmarks.steps", "--batch", str(batch)))
    yield Stage("page", ("docs/performance.py",), ())


def tests() -> Iterator[Path]:
    """Yield the test files that run on a GPU.

    These are all files of the kernels and the CUDA backend, and files with tests marked ``gpu``.
    """
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        relative = path.relative_to(ROOT)
        if is_whole(relative) or re.search(r"@(pytest\.mark\.)?gpu\b", path.read_text("utf-8")):
            yield relative


def is_whole(path: Path) -> bool:
    """Return True if all tests of a file run on a GPU, not only the marked ones."""
    return path.is_relative_to("tests/kernels") or path.is_relative_to("tests/backends/cuda")


# ------------------------------------------------------------------------------------ the runner


class Kept:
    """The stored results of the stages on one machine; those of other versions are dropped."""

    def __init__(self, machine: dict[str, str], folder: Path) -> None:
        self.path = path_for(machine["gpu"], folder, "gpu")
        self.data: Entry = {"machine": machine, "stages": {}}
        if self.path.exists():
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            if stored["machine"] == machine:
                self.data = stored
            else:
                print(
                    f"{self.path.name} is from another driver or version: its results are dropped"
                )

    def date(self, stage: Stage) -> str | None:
        """Return the date of a stage's result for the current sources, or None."""
        entry = self.data["stages"].get(stage.name)
        is_current = entry and stage.sources and entry["sources"] == digest(*stage.sources)
        return entry["date"] if is_current else None

    def put(self, stage: Stage, seconds: float, answer: Any) -> None:
        origin = {"sources": digest(*stage.sources), "date": date.today().isoformat()}
        self.data["stages"][stage.name] = origin | {"seconds": round(seconds, 1), "answer": answer}
        write(self.path, self.data)


def main(
    arguments: Sequence[str] | None = None,
    folder: Path = FOLDER,
    table: Iterable[Stage] | None = None,
) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", nargs="*", metavar="STAGE")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--list", action="store_true", help="print names and dates, then exit")
    options = parser.parse_args(arguments)
    every = list(stages() if table is None else table)
    for name in options.stage:
        if not any(is_of(stage, name) for stage in every):
            parser.error(f"there is no stage {name!r}; --list names all")
    named = options.stage or [""]
    chosen = [stage for stage in every if any(is_of(stage, name) for name in named)]

    machine = gpu()
    kept = None if machine is None else Kept(machine, folder)
    if options.list:
        for stage in chosen:
            done = kept and kept.date(stage)
            print(f"{stage.name:<32}{f'done {done}' if done else ''}".rstrip())
        return 0
    if kept is None:
        print(NEEDS, file=sys.stderr)
        return 1
    codes = {stage.name: completed(stage, kept, options) for stage in chosen}
    failed = [name for name, code in codes.items() if code not in (0, LEFT)]
    left = [name for name, code in codes.items() if code == LEFT]
    answers = {name: str(entry["answer"]) for name, entry in kept.data["stages"].items()}
    skipped = [name for name in codes if "skipped" in answers.get(name, "")]
    ends = {"tests were skipped in": skipped, "not done yet, run it again": left, "failed": failed}
    for outcome, names in ends.items():
        if names:
            print(f"{outcome}: {', '.join(names)}")
    return 1 if failed else LEFT if left else 0


def is_of(stage: Stage, name: str) -> bool:
    """Return True if a name or first part of a name matches a stage; "" matches all stages."""
    return not name or f"{stage.name}-".startswith(f"{name}-")


def gpu() -> dict[str, str] | None:
    """Return the GPU and the versions, or None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    from netspec.timing.machine import gpu

    return gpu()


def completed(stage: Stage, kept: Kept, options: argparse.Namespace) -> int:
    """Run a stage until it is done and store its result; return the exit code."""
    if not options.again and (done := kept.date(stage)):
        print(f"{stage.name}: done on {done}")
        return 0
    code = LEFT
    while code == LEFT:
        print(f"{stage.name}: python {' '.join(stage.command)}", flush=True)
        started = time.monotonic()
        code, printed = ran([sys.executable, *stage.command])
        seconds = time.monotonic() - started
        if code == LEFT and options.stage:
            break
    if code == 0 and stage.sources:
        kept.put(stage, seconds, answer_of(printed))
    elif code not in (0, LEFT):
        why = f"ended after {LIMIT} s" if seconds >= LIMIT else f"exit code {code}"
        print(f"{stage.name}: failed, {why}", flush=True)
    return code


def ran(command: Sequence[str], limit: float = LIMIT) -> tuple[int, str]:
    """Run a command and print its output at once; return the exit code and the output.

    After ``limit`` seconds the command and all processes that it started are killed.
    """
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    options["env"] = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        clock = Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        clock.start()
        printed = []
        try:
            for line in process.stdout or ():
                printed.append(line)
                print(line, end="", flush=True)
            return process.wait(), "".join(printed)
        finally:
            clock.cancel()
            # After Ctrl-C: the command is in a session of its own and does not get the signal.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def answer_of(printed: str) -> Any:
    """Return the output parsed as JSON, or its last line if it is not JSON."""
    try:
        return json.loads(printed)
    except ValueError:
        return (printed.strip().splitlines() or [""])[-1]


if __name__ == "__main__":
    sys.exit(main())
