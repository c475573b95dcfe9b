"""Time whole nets and their peers with ``netspec bench``, and store the results.

    OMP_NUM_THREADS=1 python benchmarks/nets.py [--net N ...] [--batch N ...] [--dtype D ...]
    OMP_NUM_THREADS=2 python benchmarks/nets.py [--net N ...] [--batch N ...] [--dtype D ...]

All nets at batches of 1 and 8, in float32 against all peers, and in bfloat16 against eager PyTorch
and OpenVINO.  Each case is stored in benchmarks/results/nets-<cpu>-<threads>.json at once;
``python docs/performance.py`` makes tables and plots.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.results import FOLDER, nets_path, write
from netspec.timing import PEERS, ROUNDS

NETS = (
    "alexnet",
    "googlenet",
    "vgg16_3",
    "inception_v3",
    "resnet50",
    "resnet18",
    "mobilenet_v1",
    "densenet121",
    "squeezenet1_1",
)
BATCHES = (1, 8)
AGAINST = {"float32": PEERS, "bfloat16": ("eager", "openvino")}
"""The peers by type.  In bfloat16, ONNX Runtime does not run."""


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--net", choices=NETS, default=NETS, **several)
    parser.add_argument("--batch", type=int, choices=BATCHES, default=BATCHES, **several)
    parser.add_argument("--dtype", choices=AGAINST, default=list(AGAINST), **several)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")

    from netspec.timing.measure import bench
    from netspec.views.bench import as_lines

    for dtype, net, batch in product(options.dtype, options.net, options.batch):
        answer = bench(
            [net],
            settings={},
            batches=[batch],
            dtype=dtype,
            against=AGAINST[dtype],
            rounds=options.rounds,
        )
        keep(answer, folder)
        print("\n".join(as_lines(answer, lambda text, role: text)), flush=True)


def keep(answer: dict[str, Any], folder: Path) -> None:
    """Store the cases of a result; they replace older results of the same cases.

    A case keeps the ratio that it replaces as ``earlier``.  Cases of another machine or version are
    dropped, because their times cannot be compared.
    """
    path, now = nets_path(answer["machine"], folder), datetime.now(UTC)
    cases: dict[Any, dict[str, Any]] = {}
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["machine"] == answer["machine"]:
            cases = {key(case): case for case in stored["cases"]}
    for case in answer["cases"]:
        before = cases.get(key(case), {})
        earlier = {name: before.get(name) for name in ("measured_at", "ratio")}
        if earlier["ratio"] is None:  # the machine was not quiet
            earlier = before.get("earlier", earlier)
        measured = {"measured_at": now.isoformat(timespec="minutes"), "earlier": earlier}
        cases[key(case)] = case | measured
    kept = {"machine": answer["machine"], "date": now.date().isoformat()}
    write(path, kept | {"cases": list(cases.values())})


def key(case: dict[str, Any]) -> tuple[str, int, str]:
    return case["spec"], case["batch"], case["dtype"]


if __name__ == "__main__":
    main()
