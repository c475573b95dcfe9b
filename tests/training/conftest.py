"""Runs of a tiny net that tests copy and damage."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from netspec.artifact.manifest import SPEC
from netspec.training.loop import resume, train
from netspec.training.settings import Settings
from netspec.training.stopping import Stopped
from tests.training.damage import (
    EARLIER,
    Pausing,
)


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


@pytest.fixture
def bounded() -> Iterator[None]:
    """Within, this process takes no more than 400 MB beyond what it has."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 400_000
