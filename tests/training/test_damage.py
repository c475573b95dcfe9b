"""Run directories that are damaged, or that somebody made to do harm.

Whatever is in one, opening, evaluating and resuming it ends in an error of one sentence, or comes
to what it should.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from netspec.artifact.manifest import PLAN, SPEC, WEIGHTS
from netspec.errors import DataError
from netspec.language.diagnostics import SpecError
from netspec.tensors import opened_tensors
from netspec.training.directory import (
    ABOUT,
    CHECKPOINT,
    LOCK,
    METRICS,
    SNAPSHOTS,
    STATISTICS,
    SUMS,
)
from netspec.training.loop import resume, train
from netspec.training.metrics import read_metrics
from netspec.training.progress import Moment, Report
from netspec.training.run import Run
from netspec.training.settings import Settings
from netspec.training.stopping import Stopped
from netspec.training.testing import evaluate
from netspec.weights import save_tensors
from tests.training.runs import metrics

EARLIER = Path(__file__).parent / "earlier"
"""Runs of a version without digests: one that is paused, and the same once it had finished."""

MEMBERS = (ABOUT, SPEC, PLAN, STATISTICS, METRICS, CHECKPOINT, WEIGHTS, SUMS, LOCK)

SLOWEST = 30
"""Seconds that anything may take."""


class Enough(Exception):
    """A run learns, and need not go on."""


class Counting(Report):
    """Ends a run that was made longer than it was."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, moment: Moment) -> None:
        self.steps += 1
        if self.steps > 60:
            raise Enough


class Pausing(Report):
    """Asks the run to stop in its second epoch."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, moment: Moment) -> None:
        self.steps += 1
        if self.steps == 26:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paused")
    asked = Settings(spec=str(EARLIER / "paused" / SPEC), data="digits:8", seed=3, snapshots=(0,))
    with pytest.raises(Stopped):
        train(asked, folder / "run", report=Pausing())
    return folder / "run"


@pytest.fixture(scope="module")
def finished(paused: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(paused, directory)
    resume(directory)
    return directory


def tensors(path: Path) -> dict[str, torch.Tensor]:
    with opened_tensors(path) as file:
        return file.read()


# ----------------------------------------------------------------------- runs of the version before


@pytest.mark.parametrize("name", ["paused", "finished"])
def test_a_run_of_the_version_before_opens_evaluates_and_resumes(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(EARLIER / name, directory)
    run = Run.open(directory)
    assert run.settings.seed == 3
    assert evaluate([directory]).ensemble.images == 360
    result = resume(directory)
    assert (result.epochs, result.steps) == (2, 46)
    found, wanted = (tensors(folder / WEIGHTS) for folder in (directory, EARLIER / "finished"))
    assert found.keys() == wanted.keys()
    for weight, tensor in found.items():
        # 20 steps on another processor: each rounds in the 24th bit, and steps by 0.1 of the sum
        torch.testing.assert_close(tensor, wanted[weight], rtol=0, atol=20 * 2**-20)
    told = metrics(EARLIER / "finished")
    assert [row["epoch"] for row in metrics(directory)] == [row["epoch"] for row in told]
    assert metrics(directory)[0] == told[0]


# ---------------------------------------------------------------------------------- what may happen


def opened(directory: Path) -> Any:
    run = Run.open(directory)
    return run.settings.seed, run.classes, run.threads


def evaluated(directory: Path) -> Any:
    run = Run.open(directory)
    found = evaluate([directory], device="cpu").ensemble
    return found, run.classes


def learned(directory: Path) -> Any:
    report = Counting()
    result = resume(directory, report=report)
    rows = [(row.epoch, row.steps, row.loss, row.top1) for row in read_metrics(directory)]
    found = {name: tensor.tolist() for name, tensor in tensors(directory / WEIGHTS).items()}
    return result.epochs, result.steps, rows, found


WORK: dict[str, Callable[[Path], Any]] = {"open": opened, "eval": evaluated, "resume": learned}


def outcome(work: str, directory: Path) -> Any:
    """What comes of a run directory: an error as its text, or a result."""

    def too_slow(*_: object) -> None:
        raise AssertionError(f"{work} took more than {SLOWEST} seconds")

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SLOWEST)
    try:
        return WORK[work](directory)
    except Enough:
        return "it learns"
    except DataError as error:
        assert str(error)
        assert "Traceback" not in str(error)
        return f"DataError: {error}"
    except SpecError as error:
        return f"SpecError: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_error(found: Any) -> bool:
    return isinstance(found, str) and found.startswith(("DataError", "SpecError"))


@pytest.fixture
def bounded() -> Iterator[None]:
    """Within, this process takes no more than 400 MB beyond what it has."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 400_000


# --------------------------------------------------------------------------------- bits and lengths


@pytest.mark.parametrize("share", [0.0006, pytest.param(0.02, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", ["paused", "finished"])
@pytest.mark.usefixtures("bounded")
def test_a_flipped_bit_or_a_truncation_is_named_or_changes_nothing(
    share: float, state: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole: Path = request.getfixturevalue(state)
    right = {}
    for work in ("eval", "resume"):
        shutil.copytree(whole, tmp_path / work)
        right[work] = outcome(work, tmp_path / work)
        assert not is_error(right[work]), right[work]
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    cases = [(path, bit) for path in files for bit in range(9 * path.stat().st_size)]
    for number, (path, bit) in enumerate(random.sample(cases, int(share * len(cases)))):
        content, name = bytearray(path.read_bytes()), path.relative_to(whole)
        if bit < 8 * len(content):
            content[bit // 8] ^= 1 << bit % 8
        else:
            del content[bit - 8 * len(content) :]
        for work in ("eval", "resume"):
            directory = tmp_path / f"{number}-{work}"
            shutil.copytree(whole, directory)
            (directory / name).write_bytes(content)
            found = outcome(work, directory)
            assert is_error(found) or found == right[work], (work, name, bit)
            shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (SPEC, b"lr=0.1", b"lr=0.3"),
        (ABOUT, b'"seed": 3', b'"seed": 7'),
        (PLAN, b'"onednn"', b'"onednm"'),
    ],
)
def test_a_change_that_could_be_meant_is_told_by_its_digest(
    name: str, old: bytes, new: bytes, paused: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(paused, directory)
    content = (directory / name).read_bytes()
    assert old in content
    (directory / name).write_bytes(content.replace(old, new, 1))
    message = f"{name} is damaged: it has another digest than {SUMS} says"
    with pytest.raises(DataError, match=message):
        evaluate([directory])


# --------------------------------------------------------------------------- members of other kinds


def removed(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_zeros(path: Path) -> None:
    path.write_bytes(bytes(5000))


def of_a_terabyte(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(2**40)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    elsewhere = path.parent.parent / f"{path.parent.name}-elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "made-through-a-link")


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


KINDS = (removed, emptied, of_zeros, of_a_terabyte, folder, pipe, link, link_to_nothing, device)
ERRORS = (folder, pipe, link, link_to_nothing, device)
"""Kinds that are an error whichever member it is."""


@pytest.mark.parametrize("share", [0.2, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", ["paused", "finished"])
@pytest.mark.usefixtures("bounded")
def test_members_that_are_missing_or_something_else(
    share: float, state: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole: Path = request.getfixturevalue(state)
    cases = [
        (name, kind, work)
        for name in MEMBERS
        if (whole / name).exists()
        for kind in KINDS
        for work in WORK
    ]
    for number, (name, kind, work) in enumerate(random.sample(cases, int(share * len(cases)))):
        directory = tmp_path / str(number)
        shutil.copytree(whole, directory)
        kind(directory / name)
        before = (tmp_path / f"{number}-elsewhere").exists() and (
            tmp_path / f"{number}-elsewhere"
        ).read_bytes()
        found = outcome(work, directory)
        assert is_error(found) or kind not in ERRORS, (name, kind, work)
        if before:
            assert (tmp_path / f"{number}-elsewhere").read_bytes() == before
        assert not (tmp_path / "made-through-a-link").exists()
        shutil.rmtree(directory)


@pytest.mark.parametrize("share", [0.2, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("bounded")
def test_members_that_are_swapped(share: float, finished: Path, tmp_path: Path) -> None:
    cases = [(a, b, w) for a in MEMBERS for b in MEMBERS for w in WORK if a < b]
    for number, (one, other, work) in enumerate(random.sample(cases, int(share * len(cases)))):
        directory = tmp_path / str(number)
        shutil.copytree(finished, directory)
        shutil.copy(finished / one, directory / other)
        shutil.copy(finished / other, directory / one)
        outcome(work, directory)
        shutil.rmtree(directory)


@pytest.mark.parametrize("name", ["files", SNAPSHOTS])
def test_a_folder_that_is_a_link_is_refused(name: str, paused: Path, tmp_path: Path) -> None:
    """The sweep would remove what it leads to, and a snapshot would be written there."""
    directory, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(paused, directory)
    shutil.rmtree(directory / name, ignore_errors=True)
    elsewhere.mkdir()
    (elsewhere / ".weights.safetensors.12").write_bytes(b"mine")
    (directory / name).symlink_to(elsewhere)
    with pytest.raises(DataError, match=f"{name} in it is not a folder"):
        resume(directory)
    assert os.listdir(elsewhere) == [".weights.safetensors.12"]


def test_only_our_own_plain_files_are_swept(paused: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(paused, directory)
    (tmp_path / "mine").write_bytes(b"mine")
    kept = (".tmp_notes", ".notes.safetensors.bak", ".weights.safetensors.old", "tmp123456")
    gone = (".tmpaB12cd", ".weights.safetensors.4711", f"{SNAPSHOTS}/.epoch-0001.safetensors.7")
    for name in (*kept, *gone):
        (directory / name).write_bytes(b"")
    (directory / ".tmpaaaaaa").mkdir()
    (directory / ".tmpbbbbbb").symlink_to(tmp_path / "mine")
    resume(directory)
    assert all((directory / name).exists() for name in (*kept, ".tmpaaaaaa", ".tmpbbbbbb"))
    assert not any((directory / name).exists() for name in gone)
    assert (tmp_path / "mine").read_bytes() == b"mine"


# ----------------------------------------------------------------------------------- values of JSON

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
            held, state = file.read(), json.loads(file.notes["state"])
        save_tensors(held, path, {"state": json.dumps(mutated(state, drawn))})
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
