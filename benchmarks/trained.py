"""Store the weights of a finished run in specs/trained, with a description.

    netspec train lenet5 --data digits -o RUN
    python benchmarks/trained.py RUN

The weights are then bundled with netspec: ``netspec run lenet5 IMAGE --weights digits``.  Without
RUN, the descriptions of all bundled weights are written again; the tensors do not change.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.results import ROOT, write
from netspec.artifact.manifest import WEIGHTS
from netspec.errors import DataError
from netspec.files.writing import write_whole
from netspec.inference.source import Source
from netspec.inference.subject import of_source
from netspec.inference.testing import errors_of
from netspec.net import load
from netspec.runtime.weights import read_weights, save_net
from netspec.trained import digest
from netspec.training.run import Run
from netspec.training.settings import recipe_json

FOLDER = ROOT / "specs" / "trained"


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", nargs="?")
    directory = parser.parse_args(arguments).run
    if directory is None:
        for about in sorted(folder.glob("*.json")):
            describe(about)
        return
    run = Run.open(directory)
    if not run.is_finished:
        raise DataError(f"{run.directory} is not finished: netspec train --resume {run.directory}")
    settings = run.settings
    stem = f"{run.net.name}-{settings.data.partition(':')[0]}"
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}.safetensors"
    write_whole(path, (run.directory / WEIGHTS).read_bytes())
    errors = errors_of(of_source(Source(run.net, run=run)), run.splits().validation)
    words = f"netspec train {settings.spec} --data {settings.data} --seed {settings.seed} -o RUN"
    about = {
        "net": run.net.name,
        "command": words,
        "weights": {"file": path.name, "bytes": path.stat().st_size, "sha256": digest(path)},
        "parameters": run.net.totals.parameters,
        "data": run.about["data"],
        "classes": list(run.classes),
        "validation": {
            "images": errors.images,
            "wrong": errors.wrong1,
            "error": round(errors.top1, 4),
        },
        "recipe": run.about["recipe"],
        "threads": run.threads,
        "made_by": run.about["made_by"],
    }
    write(folder / f"{stem}.json", about)
    print(f"{path.name}: {errors.wrong1} of {errors.images} wrong, {about['weights']['sha256']}")


def describe(path: Path) -> None:
    """Write a net's description into its weights file, and the digest of the file into JSON."""
    about = json.loads(path.read_bytes())
    weights, net = path.parent / about["weights"]["file"], load(about["net"])
    expects = replace(net.expects, classes=tuple(about["classes"]))
    save_net(net, expects, read_weights(net.graph, weights), weights)
    if net.recipe is not None:
        about["recipe"] = recipe_json(net.recipe)
    about["weights"] |= {"bytes": weights.stat().st_size, "sha256": digest(weights)}
    write(path, about)
    print(f"{weights.name}: {about['weights']['sha256']}")


if __name__ == "__main__":
    main()
