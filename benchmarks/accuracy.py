"""Compare compiled nets and eager PyTorch with float64.

    python benchmarks/accuracy.py [--net N ...]

Measures the relative L2 error of the logits in float32, for the worst of 32 random images, and the
error that rounding explains (``netspec.timing.agreement``).  The result is stored in
benchmarks/results/accuracy-<cpu>.json; ``python docs/performance.py`` makes the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

import torch

from benchmarks.results import FOLDER, path_for, write
from netspec.timing.agreement import deviation, exact
from netspec.timing.case import Case
from netspec.timing.engines import compiled
from netspec.timing.machine import machine
from netspec.timing.plain import plain

NETS = ("alexnet", "googlenet", "inception_v3", "vgg16_3")
IMAGES = 32


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--net", choices=NETS, default=list(NETS), **several)
    cases = [measured(net) for net in parser.parse_args(arguments).net]
    host = machine()
    path = path_for(host["cpu"], folder, "accuracy")
    write(path, {"machine": host, "date": date.today().isoformat(), "cases": cases})
    for case in cases:
        print(" ".join(f"{key}={value}" for key, value in case.items()), flush=True)


def measured(name: str) -> dict[str, Any]:
    case = Case(name, {}, IMAGES, "float32", Path())
    engines = {"netspec": compiled(case), "eager": plain(case.net, case.weights())}
    expected = exact(case)
    errors: dict[str, Any] = {"net": name, "images": IMAGES}
    with torch.inference_mode():
        for engine, model in engines.items():
            off = deviation(case, model(*case.images), expected)
            errors |= {engine: off.error, "allowed": off.allowed}
    return errors


if __name__ == "__main__":
    main()
