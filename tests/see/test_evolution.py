"""Projections of maps after several epochs of a run."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import netspec
from netspec.errors import DataError
from netspec.see.streaming import Interrupted


def test_each_column_is_that_of_the_weights_of_its_epoch(run: Path) -> None:
    seen = netspec.see.evolution(run, row="C1", maps=[3, 1])
    assert seen.epochs.tolist() == [0, 1, 3]
    for e, epoch in enumerate((0, 1, 3)):
        weights = run / "snapshots" / f"epoch-{epoch:04}.safetensors"
        top = netspec.see.top9(run / "spec.net", weights=weights, data="digits:8", maps=[3, 1])
        assert seen.activations[:, e].tolist() == top.activations[:, 0].tolist()
        assert seen.examples[:, e].tolist() == top.examples[:, 0].tolist()
        assert (seen.positions[:, e] == top.positions[:, 0]).all()
        assert (seen.crops[:, e] == top.crops[:, 0]).all()
        assert np.array_equal(seen.patches[:, e], top.patches[:, 0], equal_nan=True)
        # Images of 0..1.  Nine are computed there and one here, and PyTorch may add the ten terms
        # of an activation in another order then: a difference of up to 2 x 10 units of 2**-24.
        ours, theirs = seen.projections[:, e], top.projections[:, 0]
        assert np.allclose(ours, theirs, rtol=0, atol=20 * 2**-24, equal_nan=True)
    last = netspec.see.top9(run, maps=[3, 1])
    assert seen.activations[:, -1].tolist() == last.activations[:, 0].tolist()


def test_maps_and_epochs_are_chosen(run: Path) -> None:
    seen = netspec.see.evolution(run, count=2, epochs=[3, 0])
    assert seen.epochs.tolist() == [0, 3]
    assert seen.maps.tolist() == netspec.see.top9(run, count=2).maps.tolist()
    assert seen.projections.shape == (2, 2, 3, 3, 1)
    assert str(seen).splitlines()[3].startswith(f"map {seen.maps[0]}: largest activation ")
    titles = [axes.get_title() for axes in seen.figure().axes[:2]]
    assert titles == ["epoch 0", "epoch 3"]


def snapshots(run: Path, to: Path, *epochs: int) -> Path:
    """A copy of a run that has the weights of these epochs."""
    shutil.copytree(run, to)
    shutil.rmtree(to / "snapshots")
    (to / "snapshots").mkdir()
    for epoch in epochs:
        name = f"epoch-{epoch:04}.safetensors"
        shutil.copy(run / "weights.safetensors", to / "snapshots" / name)
    return to


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ((0, 1, 2, 5, 7, 64, 90), [1, 2, 5, 64]),  # those of the paper
        ((0, 1, 7), [0, 1, 7]),  # which are too few here
        (tuple(range(100, 115)), [100, 102, 104, 106, 108, 110, 112, 114]),
    ],
)
def test_the_epochs_of_the_paper_are_shown_if_the_run_has_them(
    run: Path, tmp_path: Path, kept: tuple[int, ...], shown: list[int]
) -> None:
    copied = snapshots(run, tmp_path / "copied", *kept)
    assert netspec.see.evolution(copied, count=1, split="validation").epochs.tolist() == shown


def test_an_interrupted_evolution_continues(run: Path, tmp_path: Path) -> None:
    state = tmp_path / "a.pass"
    progress: list[tuple[int, int]] = []

    def interrupt(done: int, images: int) -> None:
        progress.append((done, images))
        if done == 360 + 64:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped after 64 of 360 images"):
        netspec.see.evolution(run, split="validation", state=state, advance=interrupt)
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.pass-epoch-0000",
        "a.pass-epoch-0001",
    }
    progress.clear()
    seen = netspec.see.evolution(
        run, split="validation", state=state, advance=lambda *counts: progress.append(counts)
    )
    assert progress[0] == (360 + 128, 3 * 360)
    assert progress[-1] == (3 * 360, 3 * 360)
    assert seen.as_json() == netspec.see.evolution(run, split="validation").as_json()


def test_what_is_missing_is_named(run: Path, tmp_path: Path) -> None:
    without = snapshots(run, tmp_path / "without")
    with pytest.raises(DataError, match=r"does not have snapshots.*train with --snapshots 1,2,5"):
        netspec.see.evolution(without)
    shutil.rmtree(without / "snapshots")
    with pytest.raises(DataError, match="does not have snapshots"):
        netspec.see.evolution(without)
    with pytest.raises(DataError, match="snapshot of epochs 2, 4: it has those of 0, 1, 3"):
        netspec.see.evolution(run, epochs=[1, 2, 4])
    with pytest.raises(ValueError, match="not an empty sequence"):
        netspec.see.evolution(run, epochs=[])
    with pytest.raises(DataError, match="lenet5 is not a run directory"):
        netspec.see.evolution("lenet5")
    with pytest.raises(DataError, match="does not have a map 9"):
        netspec.see.evolution(run, maps=[9])


def test_weights_of_an_epoch_that_are_damaged_are_named(run: Path, tmp_path: Path) -> None:
    copied = snapshots(run, tmp_path / "copied", 1, 2, 5)
    path = copied / "snapshots" / "epoch-0002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"epoch-0002\.safetensors"):
        netspec.see.evolution(copied)
