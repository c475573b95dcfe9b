"""What an earlier version wrote still loads; tests/earlier/README.md says how it was made."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

import netspec
from netspec.backends.cpu import CpuBackend
from netspec.backends.tuning import Tuning
from netspec.lowering.lowered import lowered

EARLIER = Path(__file__).parent / "earlier"

ROUNDING = 1e-6
"""Outputs are shares of 1 after six stages in float32: an error of 8 units of 2**-23 at most."""


def images() -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def outputs() -> Tensor:
    return torch.tensor(json.loads((EARLIER / "outputs.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["small", "small.netspec"])
def test_an_artifact(name: str) -> None:
    y = netspec.load_artifact(EARLIER / name)(images())
    torch.testing.assert_close(y, outputs(), rtol=0, atol=ROUNDING)


def test_weights() -> None:
    model = netspec.compile(EARLIER / "small.net", seed=4)
    netspec.load_weights(model, EARLIER / "small.safetensors")
    torch.testing.assert_close(model(images()), outputs(), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", ["reference.pickle", "reference-uncalled.pickle"])
def test_a_pickle_of_a_reference(name: str) -> None:
    model = pickle.loads((EARLIER / name).read_bytes())
    torch.testing.assert_close(model(images()), outputs(), rtol=0, atol=ROUNDING)
    assert list(model.state_dict()) == list(netspec.reference(EARLIER / "small.net").state_dict())
    model.a.register_forward_hook(lambda module, x, y: 0 * y)
    assert not torch.allclose(model(images()), outputs(), rtol=0, atol=ROUNDING)


def test_a_pickle_of_a_net() -> None:
    net = pickle.loads((EARLIER / "net.pickle").read_bytes())
    assert isinstance(net, netspec.Net)
    assert net.totals == netspec.load(EARLIER / "small.net").totals


def test_times_measured_of_operators_as_they_were_written_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tuning = Tuning("cpu", {})
    tuning.path.parent.mkdir()
    shutil.copy(EARLIER / "measured-cpu.json", tuning.path)
    backend = CpuBackend()
    lowering = lowered(
        netspec.load(EARLIER / "small.net").graph, backend, dtype=torch.float32, batch=1
    )
    problem = lowering.problems["a.relu"]
    implementations = list(backend.implementations(problem))
    measured = {implementation.name: 1.0 + i for i, implementation in enumerate(implementations)}
    assert tuning.times(problem, implementations, lambda: measured) == measured
