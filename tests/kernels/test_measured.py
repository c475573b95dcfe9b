"""What was measured is used by every launch, in later processes too; the GPU is a name here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import netspec
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.measure import keep
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.shapes import Kernel, Shape
from netspec.kernels import measured
from netspec.kernels.conv import configurations
from netspec.kernels.fc import forward as fc
from netspec.kernels.launch import Launch
from netspec.lowering.implementation import Implementation, Place, Places, Problem
from tests.backends.cuda.helpers import MAP, load_rows
from tests.kernels.helpers import normal

HALF = torch.float16
CONV = Problem(
    ConvRelu(kernel=Kernel(3, 3), count=64, pad=(1, 1, 1, 1)), (Shape((7, 7, 256)),), HALF, 2
)
POINTWISE = replace(CONV, op=ConvRelu(kernel=Kernel(1, 1), count=64))
BACKEND = CudaBackend("cpu")


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which measurements are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measured, "current_gpu", lambda: "a GPU")
    monkeypatch.setattr(measured, "_tables", {})
    return tmp_path / "netspec"


def measure(problem: Problem, fastest: str) -> None:
    """Keep times of all implementations, of which one of netspec's kernels is the fastest of
    those; a library is faster."""
    ways = BACKEND.implementations(problem)
    assert fastest in {way.name for way in ways}
    times = {way.name: 0.5 if way.name == fastest else 1.0 for way in ways}
    keep(problem, ways, {**times, "aten": 0.25})


def other(problem: Problem, prefix: str, but: str = "") -> str:
    """The last configuration of a kernel, which is not the one that a model chooses."""
    names = [way.name for way in BACKEND.implementations(problem) if way.name != but]
    return next(name for name in reversed(names) if name.startswith(prefix))


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What is launched, which does not run."""
    launched: list[Launch] = []

    def note(launch: Launch) -> None:
        launched.append(launch)

    monkeypatch.setattr(Launch, "__call__", note)
    return launched


def test_an_operator_launches_the_fastest_kernel_also_in_another_process(
    launched: list[Launch], gpu: Path
) -> None:
    x, w = normal(2, 7, 7, 256, dtype=HALF), normal(64, 3, 3, 256, dtype=HALF)
    name = other(CONV, "split", but=configurations.choose(*geometry(CONV)).name)
    measure(CONV, name)
    for _ in range(2):
        launched.clear()
        torch.ops.netspec.conv2d_relu(x, w, None, [1, 1], [1] * 4, [1, 1], 1, "ieee")
        first, _ = launched
        tile = next(
            way.configuration.tile  # type: ignore[attr-defined]
            for way in BACKEND.implementations(CONV)
            if way.name == name
        )
        assert first.kernel.__name__ == "parts"
        assert first.grid[2] == tile.splits
        assert (first.warps, first.arguments["COLUMNS"]) == (tile.warps, tile.columns)
        measured._tables.clear()  # as in a new process
    assert len(list(gpu.glob("kernels-*.json"))) == 1


def test_a_plan_and_training_launch_it_too(launched: list[Launch]) -> None:
    net = load_rows("z: conv 1x1, 64\na: conv 3x3, 8, pad=1 | relu", MAP)
    model = netspec.compile(net, device="cuda", dtype=HALF, batch=2)
    problem = model.lowered.problems["a.relu"]
    chosen = configurations.choose(*geometry(problem)).name
    name = other(problem, "implicit", but=chosen)
    measure(problem, name)
    x = torch.zeros(2, 5, 7, 9, dtype=HALF)
    with torch.no_grad():
        model(x)
    model.train()(x)
    found = [one for one in launched if one.arguments.get("KERNEL_H") == 3]
    assert len(found) == 2
    assert {(one.kernel.__name__, one.arguments["ROWS"]) for one in found} == {
        ("implicit", int(name.split("-")[1].split("x")[0]))
    }


def geometry(problem: Problem) -> tuple[Any, torch.dtype, str]:
    from netspec.backends.cuda.conv import geometry as of

    return of(problem.op, problem.inputs, problem.batch), problem.dtype, "ieee"  # type: ignore[arg-type]


def test_a_kernel_that_does_not_fit_the_operands_is_not_launched() -> None:
    measure(POINTWISE, other(POINTWISE, "persistent"))
    x, w = normal(2, 7, 7, 256, dtype=HALF), normal(64, 1, 1, 256, dtype=HALF)
    windows, dtype, _ = geometry(POINTWISE)
    whole, y = normal(2, 7, 7, 70, dtype=dtype), normal(2, 7, 7, 64, dtype=dtype)
    named = [
        configurations.forward_launches(x, w, None, y, windows, relu=False)[0].kernel.__name__
        for y in (y, whole[..., 3:67])
    ]
    assert named[0] == "persistent"
    assert named[1] != "persistent"


@pytest.mark.parametrize(("batch", "prefix"), [(2, "stream"), (32, "split")])
def test_fully_connected_layers_launch_what_was_measured(batch: int, prefix: str) -> None:
    problem = Problem(FullyConnected(count=40), (Shape((4096,)),), HALF, batch)
    x, w, y = normal(batch, 4096), normal(40, 4096), normal(batch, 40)
    operands = [one.to(HALF) for one in (x, w, y)]
    name = other(problem, prefix)
    measure(problem, name)
    first, *_ = fc.launches(operands[0], operands[1], None, operands[2], relu=False)
    if prefix == "split":
        assert first.grid[2] == int(name.split("/")[1].split("-")[0])
    else:
        assert first.arguments["ROWS"] == int(name.split("-")[1].split("x")[0])
        assert first.arguments["LANES"] == int(name.split("-")[1].split("x")[1])


def test_of_siblings_nothing_is_kept(gpu: Path) -> None:
    places = Places((Place(256, 0, 256),), (Place(32, 0, 32), Place(32, 0, 32)))
    measure(replace(POINTWISE, places=places), other(POINTWISE, "pointwise"))
    assert not list(gpu.glob("kernels-*.json"))


def test_without_a_gpu_nothing_is_kept_and_the_model_chooses(
    monkeypatch: pytest.MonkeyPatch, gpu: Path
) -> None:
    monkeypatch.setattr(measured, "current_gpu", lambda: None)
    name = other(CONV, "split")
    measure(CONV, name)
    assert configurations.fastest(*geometry(CONV)) == configurations.choose(*geometry(CONV))
    assert not list(gpu.glob("kernels-*.json"))


def test_what_is_known_is_chosen_without_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A net that is compiled without ``measured`` uses the times of an earlier one."""

    def known(self: CudaBackend, problem: Problem, ways: list[Implementation]) -> dict[str, float]:
        return {way.name: 1.0 if way.name == "aten" else 2.0 for way in ways}

    monkeypatch.setattr(CudaBackend, "known", known)
    model = netspec.compile(load_rows("a: conv 3x3, 4 | relu", MAP), device="cuda")
    (choice,) = model.lowered.choices.values()
    assert (choice.implementation, choice.origin) == ("aten", "measured")
