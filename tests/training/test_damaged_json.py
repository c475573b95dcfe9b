"""JSON members of run directories that hold anything."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netspec.artifact.manifest import PLAN
from netspec.files.tensors import opened_tensors
from netspec.runtime.weights import save_tensors
from netspec.training.directory import (
    ABOUT,
    CHECKPOINT,
    METRICS,
    SUMS,
)
from tests.training.damage import (
    EARLIER,
    WORK,
    is_error,
    outcome,
)

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**400, 1e308, -1e308, 0.5),
    *(float("nan"), float("inf"), "", "x", "\0", "\ud800", "a" * 100_000, "/dev/zero"),
    *("../../../etc/passwd", "/etc/passwd", [], {}, [[]], [{}], {"": {}}, [1] * 1000),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The key paths of all values in a JSON document."""
    yield at
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, one in inside:
        yield from places(one, (*at, key))


def mutated(document: Any, drawn: random.Random) -> Any:
    """The document with one value changed, removed, added, or nested deeply."""
    document = json.loads(json.dumps(document))
    at = drawn.choice(list(places(document)))
    way = drawn.choice(["replace", "replace", "replace", "remove", "add", "nest"])
    value: Any = drawn.choice(HOSTILE)
    if way == "nest":
        value = []
        for _ in range(drawn.choice([10, 500])):
            value = [value]
    if not at:
        return value
    parent = document
    for key in at[:-1]:
        parent = parent[key]
    if way == "remove":
        del parent[at[-1]]
    elif way == "add" and isinstance(parent, dict):
        parent[drawn.choice(["", "x", "sha256", "__class__"])] = value
    else:
        parent[at[-1]] = value
    return document


def mutate(directory: Path, name: str, drawn: random.Random) -> None:
    """Change a JSON member, or the state in a checkpoint, so that no digest tells."""
    path = directory / name
    (directory / SUMS).unlink(missing_ok=True)
    if name == CHECKPOINT:
        with opened_tensors(path) as file:
            tensors, state = file.read(), json.loads(file.notes["state"])
        save_tensors(tensors, path, {"state": json.dumps(mutated(state, drawn))})
        return
    if name == METRICS:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        changed = mutated(rows, drawn)
        lines = changed if isinstance(changed, list) else [changed]
        for line in lines:
            if isinstance(line, dict) and drawn.random() < 0.9:
                line.pop("sha256", None)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return
    path.write_text(json.dumps(mutated(json.loads(path.read_text()), drawn)))


def is_expensive(directory: Path) -> bool:
    """Whether a run directory asks, rightly, for hundreds of processes or threads."""
    try:
        about = json.loads((directory / ABOUT).read_bytes())
        return any(
            type(n) is int and 8 < n <= 1024
            for n in (about["settings"]["workers"], about["threads"])
        )
    except (ValueError, TypeError, KeyError):
        return False


@pytest.mark.parametrize("cases", [50, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("bounded")
def test_json_that_holds_anything(cases: int, paused: Path, finished: Path, tmp_path: Path) -> None:
    names = (ABOUT, ABOUT, ABOUT, PLAN, METRICS, CHECKPOINT)
    seed = random.randrange(2**32)
    errors = 0
    for number in range(cases):
        drawn = random.Random(seed + number)
        directory = tmp_path / "run"
        shutil.copytree(drawn.choice([paused, paused, finished, EARLIER / "paused"]), directory)
        name, work = drawn.choice(names), drawn.choice(list(WORK))
        if (directory / name).exists():
            mutate(directory, name, drawn)
        try:
            if not is_expensive(directory):
                errors += is_error(outcome(work, directory))
        except BaseException as error:
            error.add_note(f"seed {seed + number}, {name}, {work}")
            raise
        shutil.rmtree(directory)
    assert errors > cases // 5
