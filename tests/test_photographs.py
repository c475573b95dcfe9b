"""docs/photographs.py: patches of photographs as a data set for docs/photographs.net."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import netspec
from netspec.data import open_data

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = spec_from_file_location("photographs", DOCS / "photographs.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbered(height: int = 330, width: int = 300) -> np.ndarray:
    """A photograph in which each pixel has another colour."""
    numbers = np.arange(height * width)
    return np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], -1).astype(
        np.uint8
    ).reshape(height, width, 3)  # fmt: skip


def test_no_pixel_is_in_both_splits(program: ModuleType) -> None:
    draw = np.random.default_rng(0)
    pixels = []
    for is_validation in (False, True):
        patches = program.patches(numbered(), 300, draw, is_validation=is_validation)
        assert {patch.shape for patch in patches} == {(32, 32, 3)}
        colours = np.concatenate(patches).reshape(-1, 3).astype(int)
        pixels.append({*(colours @ [65536, 256, 1]).tolist()})
    assert not pixels[0] & pixels[1]
    assert len(pixels[0]) > 0.9 * 8 * 32 * 300  # most of the eight bands of 32 rows
    assert len(pixels[1]) > 0.9 * 2 * 32 * 300


def test_the_patches_are_a_data_set_of_the_net(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "TRAINING", 6)
    monkeypatch.setattr(program, "VALIDATION", 2)
    named = {f"photograph-{n}": numbered() for n in range(10)}
    program.write(named, tmp_path / "patches")
    splits = open_data(f"images:{tmp_path / 'patches'}")
    assert splits.train.classes == tuple(named)
    assert (len(splits.train), len(splits.validation)) == (60, 20)
    run = netspec.train(
        DOCS / "photographs.net", f"images:{tmp_path / 'patches'}", tmp_path / "run", epochs=1
    ).run
    assert netspec.see.filters(run).halves == 2
