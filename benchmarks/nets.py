"""Time whole nets and their peers with ``netspec bench``, and store the results.

    python benchmarks/nets.py [--net N ...] [--rounds N]

AlexNet and GoogLeNet at batches of 1 and 8, Inception v3 and VGG16 at 1, in float32.  Each case is
stored in benchmarks/results/nets-<cpu>.json; ``python docs/performance.py`` makes table and plot.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.results import FOLDER, path_for, write
from netspec.timing import PEERS

PLAN = {"alexnet": (1, 8), "googlenet": (1, 8), "inception_v3": (1,), "vgg16_3": (1,)}
DTYPE = "float32"


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--net", choices=PLAN, default=list(PLAN), **several)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)

    from netspec.timing.measure import bench
    from netspec.views.bench import as_lines

    for net in options.net:
        for batch in PLAN[net]:
            answer = bench(
                [net],
                settings={},
                batches=[batch],
                dtype=DTYPE,
                against=PEERS,
                rounds=options.rounds,
            )
            keep(answer, folder)
            print("\n".join(as_lines(answer, lambda text, role: text)), flush=True)


def keep(answer: dict[str, Any], folder: Path) -> None:
    """Store the cases of a result; they replace older results of the same cases.

    Cases of another machine or version are dropped, because their times cannot be compared.
    """
    path = path_for(answer["machine"]["cpu"], folder, "nets")
    cases = {key(case): case for case in answer["cases"]}
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["machine"] == answer["machine"]:
            cases = {key(case): case for case in stored["cases"]} | cases
    kept = {"machine": answer["machine"], "date": date.today().isoformat()}
    write(path, kept | {"cases": list(cases.values())})


def key(case: dict[str, Any]) -> tuple[str, int, str]:
    return case["spec"], case["batch"], case["dtype"]


if __name__ == "__main__":
    main()
