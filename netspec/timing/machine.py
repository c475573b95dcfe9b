"""The machine: its description, PyTorch's settings, and the use of it by other processes."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from netspec.backends.cpu.processor import processor_name
from netspec.timing.rates import HOST


@contextmanager
def alike(device: torch.device) -> Iterator[None]:
    """Give an engine the same settings of PyTorch as all others, and undo what it changes.

    On a GPU, cuDNN measures its algorithms, and TF32 is off.
    """
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    precision, has_gradients = torch.get_float32_matmul_precision(), torch.is_grad_enabled()
    # Not torch.use_deterministic_algorithms, which imports all of Inductor: seconds, and memory.
    determinism = torch.get_deterministic_debug_mode()
    flags: Any = torch.backends.cudnn.flags
    of_gpu: AbstractContextManager[Any] = nullcontext()
    if device.type == "cuda":
        of_gpu = flags(enabled=True, benchmark=True, allow_tf32=False, fp32_precision=None)
    try:
        with of_gpu:
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(has_gradients)
        torch.set_deterministic_debug_mode(determinism)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.get_float32_matmul_precision() != precision:
            torch.set_float32_matmul_precision(precision)


def machine(device: torch.device = HOST) -> dict[str, Any]:
    """Return the machine: CPU, threads, system, versions, and the GPU if it is used."""
    return (gpu() if device.type == "cuda" else {}) | {
        "cpu": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def gpu() -> dict[str, str]:
    """Return the name of the GPU, and the versions of its software."""
    import triton

    return {
        "gpu": torch.cuda.get_device_name(),
        "driver": asked_of_driver("driver_version")["driver_version"],
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
        "torch": torch.__version__,
        "triton": triton.__version__,
    }


def asked_of_driver(*names: str) -> dict[str, str]:
    """Return values of ``nvidia-smi --query-gpu`` for the first GPU, ``unknown`` if it fails."""
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        first = done.stdout.partition("\n")[0]
        return dict(zip(names, map(str.strip, first.split(",")), strict=True))
    except (OSError, subprocess.SubprocessError, ValueError):  # also another number of values
        return dict.fromkeys(names, "unknown")


class Others:
    """A meter of the processor time that other processes use during a measurement."""

    def __init__(self) -> None:
        self.busy, self.own, self.started = _busy(), _own(), perf_counter()

    def share(self) -> float | None:
        """Return their share of all processors since this object was created; None if unknown."""
        now = _busy()
        if self.busy is None or now is None:
            return None
        theirs = (now - self.busy) - (_own() - self.own)
        whole = (perf_counter() - self.started) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, theirs / whole))


def _own() -> float:
    """Return the processor time of this process in seconds."""
    times = os.times()
    return times.user + times.system


def _busy() -> float | None:
    """Return the processor time of all processes in seconds; None if unknown.

    It includes time that the host of a virtual machine took ("steal").
    """
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = map(int, first[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
