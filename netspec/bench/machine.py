"""The machine: what it is, and how fast it multiplies and copies."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch

from netspec.bench.case import Case
from netspec.bench.timing import Call

SIZE = 2048
"""Rows and columns of the matrices that the rate of products is taken from."""

COPIED = 2**28
"""Bytes of the copy, far more than a cache holds."""

GPU_SIZE, GPU_COPIED = 8192, 2**30
"""The same on a GPU, which smaller ones do not fill."""

HOST = torch.device("cpu")


class Rates(NamedTuple):
    """Operations a second of matrix products (a multiply-add is two), bytes a second of copies."""

    product: float
    copy: float

    @staticmethod
    def of(product_seconds: float, copy_seconds: float, place: torch.device = HOST) -> Rates:
        size, copied = sizes(place)
        return Rates(2 * size**3 / product_seconds, 2 * copied / copy_seconds)


def sizes(place: torch.device) -> tuple[int, int]:
    """Rows of the matrices, and bytes of the copy."""
    return (GPU_SIZE, GPU_COPIED) if place.type == "cuda" else (SIZE, COPIED)


def calls(dtype: torch.dtype, place: torch.device = HOST) -> dict[str, Call]:
    """One matrix product in the type, and one copy."""
    size, copied = sizes(place)
    a, b = (torch.randn(size, size, device=place).to(dtype) for _ in range(2))
    x = torch.zeros(copied, dtype=torch.uint8, device=place)
    y = torch.empty_like(x)
    return {"product": lambda: a @ b, "copy": lambda: y.copy_(x)}


def floor(case: Case, rates: Rates) -> dict[str, float]:
    """The time that the multiply-accumulates of a batch and the bytes of the weights take."""
    totals = case.net.totals
    operations = 2 * totals.macs * case.batch
    weights = (totals.parameters + totals.buffers) * case.type.itemsize
    found = {
        "gflop": operations / 1e9,
        "weights_mb": weights / 1e6,
        "gflop_per_s": rates.product / 1e9,
        "copy_gb_per_s": rates.copy / 1e9,
        "compute_ms": operations / rates.product * 1e3,
        "weights_ms": weights / rates.copy * 1e3,
    }
    return found | {"ms": max(found["compute_ms"], found["weights_ms"])}


def alike(place: torch.device) -> AbstractContextManager[Any]:
    """What is the same for all engines on a GPU: cuDNN measures, and nothing is rounded to TF32."""
    if place.type != "cuda":
        return nullcontext()
    flags: Any = torch.backends.cudnn.flags
    found: AbstractContextManager[Any] = flags(
        enabled=True, benchmark=True, allow_tf32=False, fp32_precision=None
    )
    return found


def machine(place: torch.device = HOST) -> dict[str, Any]:
    """Processor, threads, system and versions that figures belong to; on a GPU, that as well."""
    return (gpu() if place.type == "cuda" else {}) | {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def gpu() -> dict[str, str]:
    """The GPU and the versions that a result belongs to."""
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
    """What ``nvidia-smi --query-gpu`` says of the first GPU; ``unknown`` where it says nothing."""
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
    """How much of the machine other processes take while something is measured."""

    def __init__(self) -> None:
        self.busy, self.own, self.started = _busy(), _own(), perf_counter()

    def share(self) -> float | None:
        """Their share of all processors since this was made; None where the system keeps it."""
        now = _busy()
        if self.busy is None or now is None:
            return None
        theirs = (now - self.busy) - (_own() - self.own)
        whole = (perf_counter() - self.started) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, theirs / whole))


def _own() -> float:
    """Processor seconds of this process."""
    times = os.times()
    return times.user + times.system


def _busy() -> float | None:
    """Processor seconds of all processes and, on a virtual machine, of what others stole."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = map(int, first[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
