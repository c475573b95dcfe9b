"""Turn an output folder into results and pages: ``python -m benchmarks.gpu.collect FOLDER``.

It needs no GPU.  It writes ``benchmarks/results/gpu-<gpu>.json``, the measured times of
implementations as ``tuned-<gpu>-<key>.json``, and docs/performance.md with its plots.  Every figure
is a line of the journal, unchanged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gpu.journal import NAME, Journal
from benchmarks.gpu.plan import stages
from benchmarks.gpu.runner import NEEDED
from benchmarks.results import FOLDER, ROOT, Entry, path_for, write

NOT_STORED = ("kind", "at")


def main(arguments: Sequence[str] | None = None, results: Path = FOLDER) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the output folder of the run")
    folder = parser.parse_args(arguments).folder
    try:
        collected = collect(Journal(folder))
    except ValueError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return 1
    path = path_for(collected["machine"]["gpu"], results, "gpu")
    write(path, collected)
    print(path)
    for file in sorted(folder.glob("cuda-*.json")):
        measured = json.loads(file.read_text(encoding="utf-8"))
        # There is a file for each GPU, version and source: the key in its name stands for them.
        key = file.stem.removeprefix("cuda-")
        tuned = path_for(f"{measured['made_with']['device']} {key}", results, "tuned")
        write(tuned, measured)
        print(tuned)
    if results == FOLDER:
        subprocess.run([sys.executable, ROOT / "docs" / "performance.py"], check=True)
    return 0


def collect(journal: Journal) -> Entry:
    """Return the content of the file of results.

    Raises:
        ValueError: the journal has no description of a GPU.
    """
    lines = journal.lines()
    machines = [one for one in lines if one["stage"] == NEEDED and one["kind"] == "result"]
    described = next((one for one in reversed(machines) if "gpu" in one), None)
    if described is None:
        raise ValueError(
            f"{NAME} has no description of a GPU: give the output folder of a run of make gpu "
            "on a machine with one"
        )
    ended: dict[str, Any] = {}
    for one in lines:
        if one["kind"] == "end":
            ended[one["stage"]] = {"outcome": one["outcome"], "seconds": one["seconds"]}
    return {
        "machine": _stored(described, "stage", "case"),
        "date": datetime.fromtimestamp(lines[0]["at"], UTC).date().isoformat(),
        "calls": [_stored(one, "stage") for one in lines if one["kind"] == "call"],
        "stages": {
            stage.name: ended.get(stage.name, {"outcome": "left out", "seconds": None})
            for stage in stages()
        },
        "results": [
            _stored(one) for one in lines if one["kind"] == "result" and one["stage"] != NEEDED
        ],
    }


def _stored(line: Entry, *omitted: str) -> Entry:
    return {key: value for key, value in line.items() if key not in (*NOT_STORED, *omitted)}


if __name__ == "__main__":
    sys.exit(main())
