"""Train LeNet-5 on scikit-learn's digits by the recipe in its spec: error and time.

    python benchmarks/digits.py [--seeds N] [--epochs N]

There is one run per seed, on the CPU.  The time includes opening the data and writing the run
directory, but not importing torch.  The result is stored in benchmarks/results/digits-<cpu>.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.results import FOLDER, path_for, write
from netspec.timing.machine import machine
from netspec.training.loop import train
from netspec.training.settings import Settings


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of those of the recipe")
    asked = parser.parse_args(arguments)
    runs = []
    with TemporaryDirectory() as folder_of_runs:
        for seed in range(asked.seeds):
            started = perf_counter()
            settings = Settings(spec="lenet5", data="digits", seed=seed, epochs=asked.epochs)
            result = train(settings, Path(folder_of_runs, str(seed)))
            seconds = round(perf_counter() - started, 1)
            runs.append({"seed": seed, "error": round(result.top1, 3), "seconds": seconds})
            print(f"seed {seed}: {result.top1:.2f} % wrong after {seconds:.1f} s", flush=True)
    errors = [run["error"] for run in runs]
    spread = stdev(errors) if len(errors) > 1 else 0.0
    kept = {
        "machine": machine(),
        "date": date.today().isoformat(),
        "runs": runs,
        "mean_error": round(mean(errors), 3),
        "deviation": round(spread, 3),
    }
    write(path_for(kept["machine"]["cpu"], folder, "digits"), kept)
    print(f"mean error {mean(errors):.2f} %, standard deviation {spread:.2f}")


if __name__ == "__main__":
    main()
