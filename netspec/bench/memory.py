"""The memory that running a net takes, measured in a process of its own for each engine.

The process imports the engine, compiles the case, gives freed memory back to the system, resets
its high-water mark of resident memory, runs the net a few times and reads the mark.  The answer is
the mark less what was resident after the imports: weights in the engine's form, activations, work
space, compiled code; neither the interpreter and the libraries nor what only compiling takes.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path

from netspec.errors import DataError

RUNS = 3
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def peak(case: dict[str, object], engine: str, threads: int) -> float:
    """Bytes that an engine takes to run a case, as ``Case.as_json`` describes it.

    Raises:
        DataError: it cannot be measured here; the message says why.
    """
    if not RESET.exists():
        raise DataError("memory is measured on Linux only")
    asked = json.dumps({"case": case, "engine": engine, "threads": threads})
    command = [sys.executable, "-m", "netspec.bench.memory"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"the process that measures memory ended with {done.returncode}: {last}")
    return float(json.loads(lines[-1]))


def measured(asked: dict[str, object]) -> int:
    """The same, in this process; call it in one that does nothing else."""
    import torch

    from netspec.bench.case import Case
    from netspec.bench.engines import engines

    torch.set_num_threads(asked["threads"])  # type: ignore[arg-type]
    case = Case.from_json(asked["case"])  # type: ignore[arg-type]
    engine = engines()[str(asked["engine"])]
    engine.prepare(case)
    assert case.images  # the images are the user's, not the engine's
    settle()
    before = resident("VmRSS")
    call = engine.compile(case)
    call()
    settle()
    RESET.write_text("5", encoding="ascii")  # sets VmHWM back to what is resident now
    for _ in range(RUNS):
        call()
    return resident("VmHWM") - before


def settle() -> None:
    """Free what nobody holds, and give it back to the system."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none
    if trim is not None:
        trim(0)


def resident(field: str) -> int:
    """Bytes of resident memory: ``VmRSS`` now, ``VmHWM`` at the most since the mark was reset."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise DataError(f"{STATUS} has no {field}")


if __name__ == "__main__":
    print(json.dumps(measured(json.load(sys.stdin))))
