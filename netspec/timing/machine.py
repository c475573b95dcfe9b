"""The machine: its description, and its rates of products and copies."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch

from netspec.timing.case import Case
from netspec.timing.timing import Call

SIZE = 2048
"""Rows and columns of the matrices whose product is timed."""

COPIED = 2**28
"""Bytes of the copy, far more than a cache holds."""

GPU_SIZE, GPU_COPIED = 8192, 2**30
"""The same for a GPU, which smaller operands do not fill."""

HOST = torch.device("cpu")


class Rates(NamedTuple):
    """Operations a second of matrix products (a multiply-add is two), bytes a second of copies."""

    product: float
    copy: float

    @staticmethod
    def of(product_seconds: float, copy_seconds: float, device: torch.device = HOST) -> Rates:
        size, copied = sizes(device)
        return Rates(2 * size**3 / product_seconds, 2 * copied / copy_seconds)


def sizes(device: torch.device) -> tuple[int, int]:
    """Return the rows of the matrices, and the bytes of the copy."""
    return (GPU_SIZE, GPU_COPIED) if device.type == "cuda" else (SIZE, COPIED)


def calls(dtype: torch.dtype, device: torch.device = HOST) -> dict[str, Call]:
    """Return the calls of one matrix product in the type, and of one copy."""
    size, copied = sizes(device)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    x = torch.zeros(copied, dtype=torch.uint8, device=device)
    y = torch.empty_like(x)
    return {"product": lambda: a @ b, "copy": lambda: y.copy_(x)}


def floor(case: Case, rates: Rates) -> dict[str, float]:
    """Return the time that a batch's multiply-accumulates and the bytes of the weights take."""
    totals = case.net.totals
    operations = 2 * totals.macs * case.batch
    weights = (totals.parameters + totals.buffers) * case.type.itemsize
    figures = {
        "gflop": operations / 1e9,
        "weights_mb": weights / 1e6,
        "gflop_per_s": rates.product / 1e9,
        "copy_gb_per_s": rates.copy / 1e9,
        "compute_ms": operations / rates.product * 1e3,
        "weights_ms": weights / rates.copy * 1e3,
    }
    return figures | {"ms": max(figures["compute_ms"], figures["weights_ms"])}


def alike(device: torch.device) -> AbstractContextManager[Any]:
    """Set the same flags for all engines on a GPU: cuDNN measures, nothing is rounded to TF32."""
    if device.type != "cuda":
        return nullcontext()
    flags: Any = torch.backends.cudnn.flags
    context: AbstractContextManager[Any] = flags(
        enabled=True, benchmark=True, allow_tf32=False, fp32_precision=None
    )
    return context


def machine(device: torch.device = HOST) -> dict[str, Any]:
    """Return the processor, threads, system and versions of figures; on a GPU, that as well."""
    return (gpu() if device.type == "cuda" else {}) | {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def gpu() -> dict[str, str]:
    """Return the GPU and the versions of a result."""
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
    """Return values of ``nvidia-smi --query-gpu`` for the first GPU; ``unknown`` without them."""
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return dict.fromkeys(names, "unknown")
    first = done.stdout.partition("\n")[0]
    return dict(zip(names, map(str.strip, first.split(",")), strict=True))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


class Others:
    """The share of the machine that other processes take during a measurement."""

    def __init__(self) -> None:
        self.busy, self.own, self.started = _busy(), _own(), perf_counter()

    def share(self) -> float | None:
        """Return their share of all processors since this was made; None if it is not known."""
        now = _busy()
        if self.busy is None or now is None:
            return None
        theirs = (now - self.busy) - (_own() - self.own)
        whole = (perf_counter() - self.started) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, theirs / whole))


def _own() -> float:
    """Return the processor seconds of this process."""
    times = os.times()
    return times.user + times.system


def _busy() -> float | None:
    """Return the processor seconds of all processes, with those stolen from a virtual machine."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = map(int, first[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
