"""The memory that running a net takes, measured in a process of its own for each engine.

The process imports the engine, compiles the case, gives freed memory back to the system, resets
its high-water mark of resident memory, runs the net a few times and reads the mark.  The answer is
the mark less what was resident after the imports: weights in the engine's form, activations, work
space, compiled code; neither the interpreter and the libraries nor what only compiling takes.

On a GPU, the memory that PyTorch's allocator has reserved takes the place of resident memory.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from netspec.errors import DataError

RUNS = 3
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def peak(case: dict[str, object], engine: str, threads: int) -> float:
    """Return the bytes that an engine takes to run a case, as ``Case.as_json`` describes it.

    Raises:
        DataError: memory cannot be measured here; the message says why.
    """
    if case.get("device") != "cuda" and not RESET.exists():
        raise DataError("memory is measured on Linux only")
    asked = json.dumps({"case": case, "engine": engine, "threads": threads})
    command = [sys.executable, "-m", "netspec.timing.memory"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"the process that measures memory ended with {done.returncode}: {last}")
    return float(json.loads(lines[-1]))


def measured(asked: dict[str, object]) -> int:
    """Return the same, measured in this process, which must do nothing else."""
    import torch

    from netspec.timing.case import Case
    from netspec.timing.engines import engines
    from netspec.timing.machine import alike

    torch.set_num_threads(asked["threads"])  # type: ignore[arg-type]
    case = Case.from_json(asked["case"])  # type: ignore[arg-type]
    engine = engines()[str(asked["engine"])]
    engine.prepare(case)
    assert case.sets  # the images are the user's, not the engine's
    meter: Meter = Reserved() if case.torch_device.type == "cuda" else Resident()
    with alike(case.torch_device):
        before = meter.settled()
        call = engine.compile(case)
        call()
        meter.settled()
        for _ in range(RUNS):
            call()
        return meter.peak() - before


class Meter(Protocol):
    """Bytes that this process holds."""

    def settled(self) -> int:
        """Free unused memory, reset the mark, and return the bytes that are still held."""

    def peak(self) -> int:
        """Return the most bytes since then."""


class Resident:
    """Resident memory, on Linux."""

    def settled(self) -> int:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none
        if trim is not None:
            trim(0)
        RESET.write_text("5", encoding="ascii")  # sets VmHWM back to what is resident now
        return resident("VmRSS")

    def peak(self) -> int:
        return resident("VmHWM")


class Reserved:
    """Memory of the GPU that PyTorch's allocator holds, CUDA graphs' own included."""

    def settled(self) -> int:
        import torch

        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_reserved()

    def peak(self) -> int:
        import torch

        torch.cuda.synchronize()
        return torch.cuda.max_memory_reserved()


def resident(field: str) -> int:
    """Return resident memory in bytes: ``VmRSS`` now, ``VmHWM`` the most since the reset."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise DataError(f"{STATUS} has no {field}")


if __name__ == "__main__":
    print(json.dumps(measured(json.load(sys.stdin))))
