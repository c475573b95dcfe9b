"""Time the loading of an artifact in new processes that have already imported PyTorch.

    python benchmarks/loading.py [--net N ...] [--processes N]

``import netspec`` and ``netspec.load_artifact(path)`` are timed, with everything that they import,
in float32 with untrained weights.  The first process fills the caches and is not counted.  The
result is stored in benchmarks/results/loading-<cpu>.json; ``python docs/performance.py`` makes the
table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

import netspec
from benchmarks.results import FOLDER, ROOT, path_for, write
from netspec.timing.machine import machine

NETS = ("googlenet", "vgg16_3")

MEASURE = """
import json, sys, time
import torch
started = time.perf_counter()
import netspec
imported = time.perf_counter()
netspec.load_artifact(sys.argv[1])
print(json.dumps([imported - started, time.perf_counter() - imported]))
"""


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--net", default=list(NETS), **several)
    parser.add_argument("--processes", type=int, default=10)
    options = parser.parse_args(arguments)
    cases = [measured(net, options.processes) for net in options.net]
    host = machine()
    path = path_for(host["cpu"], folder, "loading")
    write(path, {"machine": host, "date": date.today().isoformat(), "cases": cases})
    for case in cases:
        print(" ".join(f"{key}={value}" for key, value in case.items()), flush=True)


def measured(net: str, processes: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.netspec"
        netspec.save_artifact(netspec.compile(net), path)
        _, *times = [milliseconds(path) for _ in range(processes + 1)]
        size = path.stat().st_size
    imports, loads = zip(*times, strict=True)
    together = [imported + load for imported, load in times]
    return {
        "net": net,
        "bytes": size,
        "processes": processes,
        "import_ms": round(statistics.median(imports), 1),
        "load_ms": round(statistics.median(loads), 1),
        "together_ms": round(statistics.median(together), 1),
        "slowest_ms": round(max(together), 1),
    }


def milliseconds(path: Path) -> tuple[float, float]:
    """Return the times of import and loading in a new process that finds compiled modules."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    imported, load = json.loads(done.stdout)
    return 1e3 * imported, 1e3 * load


if __name__ == "__main__":
    main()
