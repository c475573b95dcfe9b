"""Candidates that fail, on a stand-in for CUDA graphs."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import Tensor

import netspec
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.implementation import Call, CudaImplementation
from netspec.backends.cuda.measure import _require_gpu, measure, operands
from netspec.backends.cuda.plain import Plain
from netspec.backends.tuning import described
from netspec.errors import DataError
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.relu import Relu
from netspec.ir.shapes import Kernel, Shape
from netspec.lowering.implementation import Place, Places, Problem, Tensors
from netspec.runtime.verification import random_images, verify
from tests.backends.cuda.helpers import MAP, ON_GPU, load_rows

pytestmark = pytest.mark.skipif(ON_GPU, reason="a stand-in for a GPU")

PROBLEM = Problem(Relu(), (Shape((4, 4, 2)),), torch.float32, 2)
MODULE = sys.modules[measure.__module__]


class Failing(Plain):
    """Fails when it is bound, when it first runs, while it is captured, or when it is replayed."""

    def __init__(self, when: str) -> None:
        self.name, self.when = f"fails in {when}", when  # type: ignore[misc]

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        if self.when == "bind":
            raise ValueError("no such tile")
        (call,) = super().bind(problem, packed, x, y)

        def run() -> None:
            if self.when == Graph.state:
                raise RuntimeError("GET was unable to find an engine to execute this computation")
            call()

        return [run]


class Wrong(Plain):
    """Computes another result, or leaves a part of it."""

    def __init__(self, name: str, change: Callable[[Tensor], object]) -> None:
        self.name, self.change = name, change  # type: ignore[misc]

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        (call,) = super().bind(problem, packed, x, y)
        return [call, lambda: self.change(y[0])]


class Graph:
    """A CUDA graph that runs its calls again; ``state`` is what happens now."""

    state = ""

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run
        self._in("first run")
        self._in("capture")

    def replay(self) -> None:
        self._in("replay")

    def _in(self, state: str) -> None:
        Graph.state = state
        try:
            self.run()
        finally:
            Graph.state = ""


class Stopwatch:
    def stop(self) -> None:
        pass

    def seconds(self) -> float:
        return 0.25


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure on a CPU in the way of a GPU."""
    monkeypatch.setattr(MODULE, "captured", Graph)
    monkeypatch.setattr(MODULE, "Stopwatch", Stopwatch)
    monkeypatch.setattr(MODULE, "_on_cpu", MODULE._on_gpu)


STATES = ("bind", "first run", "capture", "replay")


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("when", STATES)
def test_a_candidate_that_fails_is_named_and_costs_only_itself(when: str) -> None:
    outcomes = measure(PROBLEM, [Failing(when), Plain()], "cpu")
    assert outcomes["torch"] == 0.25
    failure = outcomes[f"fails in {when}"]
    assert isinstance(failure, str)
    assert failure.startswith("ValueError: no such tile" if when == "bind" else "RuntimeError: GET")


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_candidate_that_computes_something_else_is_named(dtype: torch.dtype) -> None:
    problem = Problem(Conv(kernel=Kernel(3, 3), count=8), (Shape((6, 7, 16)),), dtype, 2)
    candidates = [
        Plain(),
        Wrong("rolls", lambda y: y.copy_(y.roll(1, dims=2))),
        Wrong("leaves a pixel", lambda y: y[1, 2, 3].fill_(torch.nan)),
        Wrong("is zero in one", lambda y: y[1, 2, 3].zero_()),
    ]
    outcomes = measure(problem, candidates, "cpu")
    assert isinstance(outcomes.pop("torch"), float)
    assert len(outcomes) == 3
    assert all(str(why).startswith("DataError: its error is") for why in outcomes.values())


class Lost(Relu):
    """An operator that PyTorch cannot compute on the device."""

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        raise RuntimeError("GET was unable to find an engine to execute this computation")


class Huge(Relu):
    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0] * 1e6  # infinite in float16


class Nothing(Relu):
    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0] * 0


@pytest.mark.usefixtures("graphs")
@pytest.mark.parametrize("op", [Lost(), Huge(), Nothing()], ids=lambda op: type(op).__name__)
def test_a_candidate_is_timed_where_the_reference_says_nothing(op: Relu) -> None:
    class Filling(Plain):
        def bind(
            self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
        ) -> Sequence[Call]:
            return [y[0].zero_]

    problem = Problem(op, (Shape((4, 4, 2)),), torch.float16, 2)
    assert measure(problem, [Filling()], "cpu") == {"torch": 0.25}


def test_what_a_graph_replays_is_alive_as_long_as_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "captured", lambda run: Graph(lambda: None))
    monkeypatch.setattr(MODULE, "Stopwatch", Stopwatch)
    workspace = torch.zeros(3)
    gone = weakref.ref(workspace)
    run = MODULE._on_gpu([partial(workspace.add_, 1)])
    del workspace
    assert run() == 0.25
    assert gone() is not None
    del run
    assert gone() is None


@pytest.mark.usefixtures("graphs", "measurements")
def test_a_net_is_compiled_although_candidates_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def implementations(self: CudaBackend, problem: Problem) -> list[CudaImplementation]:
        return [*map(Failing, STATES), Plain()]

    monkeypatch.setattr(CudaBackend, "implementations", implementations)
    net = load_rows("a: relu", MAP)
    model = netspec.compile(net, device="cuda", measured=True)
    ((stage, choice),) = model.lowered.choices.items()
    assert (choice.implementation, choice.origin) == ("torch", "measured")
    assert choice.failures.keys() == {f"fails in {state}" for state in STATES}
    assert choice.as_json()["failures"] == choice.failures
    assert verify(model, random_images(net)).passed
    again = netspec.compile(net, device="cuda", measured=True)  # from the file
    assert again.lowered.choices[stage] == choice


def test_a_gpu_that_is_lost_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nlong story")

    monkeypatch.setattr(torch.cuda, "synchronize", lost)
    with pytest.raises(DataError, match=r"illegal memory access was encountered\): start the"):
        _require_gpu(PROBLEM)


def test_operands_and_results_are_measured_at_their_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Problem] = {}

    def measured(
        self: CudaBackend, problem: Problem, implementations: Sequence[CudaImplementation]
    ) -> dict[str, float]:
        asked[described(problem)] = problem
        return {one.name: 1.0 for one in implementations}

    monkeypatch.setattr(CudaBackend, "measure", measured)
    rows = "a: conv 3x3, 8\nb from a: concat { conv 1x1, 4 ; conv 1x1, 6 | conv 3x3, 2, pad=1 }\n"
    netspec.compile(load_rows(rows + "c: conv 1x1, 3", MAP), device="cuda", measured=True)
    first, siblings, branch, last = asked.values()
    assert first.places is last.places is None
    (whole,) = siblings.places.reads  # type: ignore[union-attr]
    assert whole == Place(8, 0, 8)
    assert siblings.places.writes == (Place(4, 0, 6), Place(6, 0, 6))  # type: ignore[union-attr]
    assert branch.places == Places((Place(6, 0, 6),), (Place(2, 4, 6),))
    assert len(asked) == 4
    x, y = operands(branch, torch.empty)
    assert [one.stride(2) for one in (*x, *y)] == [6, 6]
    assert y[0].storage_offset() == 4
