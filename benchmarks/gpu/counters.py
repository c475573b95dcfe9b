"""Read the hardware counters of three kernels with Nsight Compute, if it works here.

    python -m benchmarks.gpu.counters           runs ncu once for each kernel
    python -m benchmarks.gpu.counters CASE      what ncu watches: the kernel, after a first run

The clocks are left alone.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
from pathlib import Path

import torch

from benchmarks.gpu.cases import Case, implementation, problem
from benchmarks.gpu.journal import FOLDER, Log, left
from benchmarks.gpu.processes import run
from benchmarks.gpu.smoke import operands

ROOT = Path(__file__).parents[2]
CASES = (
    Case("implicit", "vgg16_3", "C32.relu", 32, "bf16", "triton"),
    Case("packed", "alexnet", "C1.relu", 256, "bf16", "triton"),
    Case("fc", "alexnet", "F6.relu", 1, "bf16", "triton"),
)
METRICS = {
    "gpu__time_duration.sum": "duration_ns",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "multiprocessors_percent",
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active": "tensor_cores_percent",
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed": "memory_percent",
    "lts__throughput.avg.pct_of_peak_sustained_elapsed": "l2_percent",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "warps_percent",
}
WATCH = ("--clock-control", "none", "--profile-from-start", "off", "--csv", "--page", "raw")


def main() -> int:
    if sys.argv[1:]:
        launch(Case.of_key(sys.argv[1]))
        return 0
    log = Log.of_environment()
    tool = shutil.which("ncu")
    if tool is None:
        log.result("tool", skipped="ncu is not installed")
        return 0
    folder = Path(os.environ.get(FOLDER, "build/gpu"))
    output = folder / "ncu.log"
    command = [tool, *WATCH, "--metrics", ",".join(METRICS), sys.executable, "-m", __spec__.name]
    for key in log.cases(case.key for case in CASES):
        output.unlink(missing_ok=True)
        ended = run([*command, key], left() / len(CASES) - 1, {}, output, ROOT)
        text = output.read_text(errors="replace")
        kernels = rows(text)
        why = {"error": f"exit code {ended.code}: {text.strip()[-200:]}"}
        log.result(key, **({"kernels": kernels} if kernels else why))
    output.unlink(missing_ok=True)
    return 0


def rows(text: str) -> list[dict[str, str]]:
    """Return the kernels in ncu's output: their names and metrics, as ncu writes them."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith('"ID"')]
    if not starts:
        return []
    table = csv.DictReader(io.StringIO("\n".join(lines[starts[0] :])))
    kernels = []
    for row in table:
        if not (row.get("ID") or "").isdigit():
            continue  # the line of units
        metrics = {short: row[name] for name, short in METRICS.items() if row.get(name)}
        kernels.append({"kernel": (row.get("Kernel Name") or "")[:80]} | metrics)
    return kernels


def launch(case: Case) -> None:
    """Launch a case twice; the second time is what is watched."""
    of = problem(case)
    x, parameters = operands(of, case.batch, "cuda")
    y = torch.empty(case.batch, *of.output, dtype=of.dtype, device="cuda")
    chosen = implementation(case, of, "cuda")
    calls = chosen.bind(of, chosen.pack(of, parameters), x, [y])
    for is_watched in (False, True):
        torch.cuda.synchronize()
        if is_watched:
            torch.cuda.profiler.start()
        for call in calls:
            call()
        torch.cuda.synchronize()
    torch.cuda.profiler.stop()


if __name__ == "__main__":
    sys.exit(main())
