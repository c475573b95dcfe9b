"""Rows that are called as models' own attributes are now: what was written of them still loads.

tests/earlier/README.md says how the files were made.
"""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import netspec
from netspec import DataError
from netspec.runtime.compiled import Compiled
from netspec.runtime.weights import save_tensors
from netspec.training.checkpoint import Checkpoint
from netspec.training.loop import resume
from netspec.training.run import Run

EARLIER = Path(__file__).parent / "earlier" / "logits"
SPEC = EARLIER / "logits.net"
NAMES = ["expects_", "s.logits_", "s.logits__.conv", "s.logits__.bn", "logits_", "h"]
"""The modules with parameters, as they are called now."""

ROUNDING = 1e-6
"""Outputs are shares of 1 after eight stages in float32: an error of 8 units of 2**-23 at most."""


def assert_as_it_was(model: Compiled | netspec.Model) -> None:
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    outputs = torch.tensor(json.loads((EARLIER / "outputs.json").read_text(encoding="utf-8")))
    assert list(dict.fromkeys(n.rpartition(".")[0] for n in model.state_dict())) == NAMES
    for module in (model, model.as_reference() if isinstance(model, Compiled) else model):
        torch.testing.assert_close(module(images), outputs, rtol=0, atol=ROUNDING)
        torch.testing.assert_close(module.logits(images).softmax(1), outputs, rtol=0, atol=ROUNDING)


def state_dict() -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(EARLIER / "state_dict.pt", weights_only=True)
    assert {"logits.weight", "s.logits.weight", "s.logits_.conv.weight"} <= tensors.keys()
    return tensors


def test_an_artifact() -> None:
    assert_as_it_was(netspec.load_artifact(EARLIER / "logits.netspec"))


@pytest.mark.parametrize("make", [netspec.compile, netspec.reference])
def test_weights_and_a_state_dict(make: type[Compiled]) -> None:
    for is_unpacked in (False, True):
        model = make(SPEC, seed=4)
        list(model.parameters()) if is_unpacked else None
        netspec.load_weights(model, EARLIER / "logits.safetensors")
        assert_as_it_was(model)
        model = make(SPEC, seed=4)
        list(model.parameters()) if is_unpacked else None
        model.load_state_dict(state_dict())
        assert_as_it_was(model)


@pytest.mark.parametrize("make", [netspec.compile, netspec.reference])
def test_a_state_dict_of_a_module_that_has_the_net_inside(make: type[Compiled]) -> None:
    outer = nn.ModuleDict({"net": make(SPEC, seed=4), "own": nn.Linear(2, 2)})
    tensors = {f"net.{name}": tensor for name, tensor in state_dict().items()}
    own = {f"own.{name}": t for name, t in nn.Linear(2, 2).state_dict().items()}
    outer.load_state_dict(tensors | own)
    assert_as_it_was(outer["net"])  # type: ignore[arg-type]
    assert torch.equal(outer["own"].weight, own["own.weight"])


@pytest.mark.parametrize("name", ["compiled", "unpacked", "reference"])
def test_a_pickle(name: str) -> None:
    assert_as_it_was(pickle.loads((EARLIER / f"{name}.pickle").read_bytes()))


def test_a_run_that_has_finished() -> None:
    run = Run.open(EARLIER / "finished")
    weights = run.weights()
    model = run.trained()
    assert list(dict.fromkeys(name.rpartition(".")[0] for name in model.state_dict())) == NAMES
    assert all(torch.equal(weights[name], t) for name, t in model.state_dict().items())


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(EARLIER / "paused", directory)
    net = Run.open(directory).net
    velocity = Checkpoint.load(directory / "checkpoint.safetensors", net.graph).velocity
    assert {name.rpartition(".")[0] for name in velocity} == {*NAMES}
    resume(directory)
    ours, before = Run.open(directory).weights(), Run.open(EARLIER / "finished").weights()
    for name, tensor in before.items():  # by other kernels, whose sums have another order
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-5)


def test_what_is_written_now_is_read_again(tmp_path: Path) -> None:
    model = netspec.compile(SPEC, seed=3)
    netspec.save_weights(model, tmp_path / "w.safetensors")
    netspec.save_artifact(model, tmp_path / "a.netspec", heads=True)
    other = netspec.compile(SPEC, seed=4)
    netspec.load_weights(other, tmp_path / "w.safetensors")
    assert_as_it_was(other)
    assert_as_it_was(netspec.load_artifact(tmp_path / "a.netspec"))
    assert_as_it_was(pickle.loads(pickle.dumps(model.train().eval())))


def test_a_name_that_no_version_has_is_refused(tmp_path: Path) -> None:
    tensors = {name.replace("expects.", "expected."): t for name, t in state_dict().items()}
    model = netspec.compile(SPEC)
    with pytest.raises(RuntimeError, match=r"expected\.weight"):
        model.load_state_dict(tensors)
    save_tensors(tensors, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"missing: expects_\.weight"):
        netspec.load_weights(model, tmp_path / "w.safetensors")
