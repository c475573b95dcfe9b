"""Time the check of a spec, from text to a checked net, for specs of several lengths.

    python benchmarks/checking.py [--save]

Each length is measured five times in turns, each time in a new process.  The figures are medians:
processor seconds to load a spec, and wall time of the whole command ``netspec check googlenet``.
``--save`` writes benchmarks/results/checking.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from netspec.files.writing import write_whole

ROWS = (1_000, 10_000, 20_000)
ROUNDS = 5
RESULTS = Path(__file__).parent / "results" / "checking.json"

MEASURE = """
import sys, time
from netspec import load
started = time.process_time()
load(sys.argv[1])
print(time.process_time() - started)
"""


def spec(rows: int) -> str:
    lines = ["net long", "input image 8x8x8"]
    lines += [f"r{i}: conv 3x3, 8, pad=1 | relu -> 8x8x8" for i in range(rows)]
    return "\n".join(lines)


def seconds(path: Path | str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def whole_command() -> float:
    """Return the seconds of ``netspec check googlenet``, including the start of Python."""
    command = [sys.executable, "-m", "netspec", "check", "googlenet"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true")
    save = parser.parse_args().save
    times: dict[str, list[float]] = {str(rows): [] for rows in ROWS} | {"check googlenet": []}
    with tempfile.TemporaryDirectory() as folder:
        paths = {str(rows): Path(folder) / f"{rows}.net" for rows in ROWS}
        for rows in ROWS:
            paths[str(rows)].write_text(spec(rows))
        for _ in range(ROUNDS):
            for name, path in paths.items():
                times[name].append(seconds(path))
            times["check googlenet"].append(whole_command())
    medians = {name: round(statistics.median(samples), 3) for name, samples in times.items()}
    ratio = medians["10000"] / medians["1000"]
    for name, median in medians.items():
        print(f"{name:>16}{' rows' if name.isdigit() else '     '}  {median:7.3f} s")
    print(f"10,000 rows take {ratio:.1f} times as long as 1,000")
    if save:
        machine = {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "date": date.today().isoformat(),
        }
        result = {"machine": machine, "median_seconds": medians, "ratio_1000_10000": ratio}
        write_whole(RESULTS, json.dumps(result, indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
