"""Run directories that are damaged, or that somebody made to do harm.

Whatever is in one, opening, evaluating and resuming it ends in an error of one sentence, or comes
to what it should.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
import torch

from netspec.artifact.manifest import PLAN, SPEC, WEIGHTS
from netspec.errors import DataError
from netspec.inference.testing import evaluate
from netspec.runtime.expects import IMAGE
from netspec.training.directory import (
    ABOUT,
    SNAPSHOTS,
    SUMS,
)
from netspec.training.loop import resume
from netspec.training.run import Run
from tests.training.damage import (
    EARLIER,
    MEMBERS,
    WORK,
    is_error,
    outcome,
    tensors,
)
from tests.training.runs import metrics

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
    weights, wanted = (tensors(folder / WEIGHTS) for folder in (directory, EARLIER / "finished"))
    assert weights.keys() - {IMAGE} == wanted.keys()  # the version before kept no mean image
    for weight, tensor in wanted.items():
        # 20 steps on another processor: each rounds in the 24th bit, and steps by 0.1 of the sum
        torch.testing.assert_close(weights[weight], tensor, rtol=0, atol=20 * 2**-20)
    told = metrics(EARLIER / "finished")
    assert [row["epoch"] for row in metrics(directory)] == [row["epoch"] for row in told]
    assert metrics(directory)[0].items() >= told[0].items()  # a later version writes more


# --------------------------------------------------------------------------------- bits and lengths


@pytest.mark.parametrize("share", [0.0003, pytest.param(0.02, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", [pytest.param("paused", marks=pytest.mark.slow), "finished"])
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
            result = outcome(work, directory)
            assert is_error(result) or result == right[work], (work, name, bit)
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
    message = f"{name} is damaged: its digest differs from that in {SUMS}"
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
        result = outcome(work, directory)
        assert is_error(result) or kind not in ERRORS, (name, kind, work)
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
