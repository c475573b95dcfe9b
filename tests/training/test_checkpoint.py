from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from netspec import DataError, load
from netspec.runtime.weights import save_tensors
from netspec.training.checkpoint import Checkpoint
from netspec.training.directory import CHECKPOINT
from netspec.training.run import Run

PAUSED = Path(__file__).parent / "earlier" / "paused"
GRAPH = load(str(PAUSED / "spec.net")).graph


def changed(folder: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], None]) -> Path:
    """A checkpoint whose tensors and state were changed, with the right digest."""
    checkpoint = Checkpoint.load(PAUSED / CHECKPOINT, GRAPH)
    tensors = {f"model/{name}": tensor for name, tensor in checkpoint.model.items()}
    tensors |= {f"velocity/{name}": tensor for name, tensor in checkpoint.velocity.items()}
    state = {
        "epoch": checkpoint.state.epoch,
        "steps": checkpoint.state.steps,
        "counts": list(checkpoint.state.counts),
        "schedule": checkpoint.state.schedule,
        "seconds": checkpoint.state.seconds,
    }
    change(tensors, state)
    save_tensors(tensors, folder / CHECKPOINT, {"state": json.dumps(state)})
    return folder / CHECKPOINT


def test_it_comes_back_as_it_went(tmp_path: Path) -> None:
    before = Checkpoint.load(PAUSED / CHECKPOINT, GRAPH)
    before.save(tmp_path / "c")
    after = Checkpoint.load(tmp_path / "c", GRAPH)
    assert after.state == before.state
    assert (after.state.epoch, after.state.steps, after.state.counts.images) == (1, 3, 192)
    for one, other in ((before.model, after.model), (before.velocity, after.velocity)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, s: t.pop("velocity/F2.bias"), r"missing: velocity/F2\.bias"),
        (lambda t, s: t.pop("model/C1.weight"), r"missing: model/C1\.weight"),
        (lambda t, s: t.update({"velocity/X.bias": torch.ones(1)}), r"not in the net: velocity/X"),
        (lambda t, s: t.update({"other": torch.ones(1)}), "not in the net: other"),
        (lambda t, s: t.update({"velocity/F2.bias": torch.ones(1)}), r"\[1\] in the file, \[10\]"),
        (lambda t, s: t.update({"model/C1.bias": torch.ones(1).int()}), "torch.int32 in the file"),
        (lambda t, s: s.update(epoch=0, steps=0), "not in the net: velocity/C1.bias"),
        (lambda t, s: s.update(epoch=-1), "`epoch` is -1, not a whole number from 0"),
        (lambda t, s: s.update(steps=2.5), "`steps` is 2.5"),
        (lambda t, s: s.update(counts=[1, 2, 3]), "`counts` is a list of 3, not a list of 4"),
        (lambda t, s: s.update(counts=[1, float("nan"), 3, 4]), "contains NaN"),
        (
            lambda t, s: s["schedule"].pop("least"),
            "`schedule` is an object, not the state of a schedule",
        ),
        (lambda t, s: s.pop("seconds"), "`seconds` is missing"),
        (lambda t, s: s.update(more=1), "`more` does not belong there"),
    ],
)
def test_what_does_not_fit_the_net_or_the_state_is_named(
    change: Callable[..., None], message: str, tmp_path: Path
) -> None:
    path = changed(tmp_path, change)
    with pytest.raises(DataError, match=message) as caught:
        Checkpoint.load(path, GRAPH)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("changes", [{"epoch": 3}, {"steps": 24}, {"schedule": {}}])
def test_a_state_that_the_run_cannot_be_in_is_an_error(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(PAUSED, directory)
    changed(directory, lambda tensors, state: state.update(changes))
    run = Run.open(directory)
    state = Checkpoint.load(run.checkpoint, run.net.graph).state
    with pytest.raises(DataError, match=r"the checkpoint is damaged: it has \d epochs"):
        state.require(epochs=2, steps=23)
