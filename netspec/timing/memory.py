"""Measure the memory that running a net takes, in a separate process for each engine.

The process imports the engine, compiles the case, returns freed memory to the system, resets its
high-water mark of resident memory, runs the net a few times and reads the mark.  The result is the
mark minus the resident memory after the imports.  It includes weights in the engine's form,
activations, work space and compiled code.  It does not include the interpreter, the libraries, and
memory that only compilation needs.

On a GPU, the memory that PyTorch's allocator has reserved is measured instead of resident memory.
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
    """Return the bytes that an engine needs to run a case.

    Args:
        case: the result of ``Case.as_json``.
        engine: the name of the engine.
        threads: PyTorch's number of threads.

    Raises:
        DataError: memory cannot be measured; the message has the reason.
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
    """Return the bytes of :func:`peak`, measured in this process, which must do nothing else."""
    import torch

    from netspec.timing.case import Case
    from netspec.timing.engines import engines
    from netspec.timing.machine import alike

    torch.set_num_threads(asked["threads"])  # type: ignore[arg-type]
    case = Case.from_json(asked["case"])  # type: ignore[arg-type]
    engine = engines()[str(asked["engine"])]
    engine.prepare(case)
    assert case.sets  # created before the measurement: images are not memory of the engine
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
    """A meter of the memory of this process."""

    def settled(self) -> int:
        """Free unused memory, reset the high-water mark, and return the bytes still in use."""

    def peak(self) -> int:
        """Return the largest number of bytes since the reset."""


class Resident:
    """Resident memory, on Linux."""

    def settled(self) -> int:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only in glibc
        if trim is not None:
            trim(0)
        RESET.write_text("5", encoding="ascii")  # resets VmHWM to the current VmRSS
        return resident("VmRSS")

    def peak(self) -> int:
        return resident("VmHWM")


class Reserved:
    """Memory of the GPU that PyTorch's allocator holds, including that of CUDA graphs."""

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
    """Return resident memory in bytes: ``VmRSS`` is current, ``VmHWM`` the most since the reset."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise DataError(f"{STATUS} does not contain {field}")


if __name__ == "__main__":
    print(json.dumps(measured(json.load(sys.stdin))))
