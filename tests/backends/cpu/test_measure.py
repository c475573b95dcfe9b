from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

import netspec
from netspec import loads
from netspec.backends.cpu.implementation import Call
from netspec.backends.cpu.measure import measure
from netspec.backends.cpu.plain import Plain
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.fc import FullyConnected
from netspec.lowering.implementation import Problem, Tensors
from tests.backends.cpu.helpers import implementations, problem_of
from tests.backends.helpers import RICH


class Slow(Plain):
    """The reference, 20 times over."""

    name = "slow"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        return 20 * super().bind(problem, packed, x, y, scratch)


def test_every_implementation_is_timed_on_what_it_takes() -> None:
    for op, inputs in (
        (FullyConnected(count=3), [(5,)]),
        (BatchNorm(eps=0.1), [(3, 4, 5)]),
        (Concat(), [(3, 4, 5), (3, 4, 2)]),
    ):
        problem = problem_of(op, *inputs)
        times = measure(problem, list(implementations(problem).values()))
        assert list(times) == list(implementations(problem))
        assert all(0 < seconds < 1 for seconds in times.values())


def test_the_slow_one_takes_longer() -> None:
    times = measure(problem_of(FullyConnected(count=300), (300,), batch=64), [Slow(), Plain()])
    assert times["slow"] > 2 * times["torch"]


def test_a_measured_net_takes_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[measure.__module__], "CACHE", 2**10)
    model = netspec.compile(loads(RICH), measured=True)
    for stage, choice in model.lowered.choices.items():
        if len(choice.candidates) > 1:
            assert choice.origin == "measured", stage
            times = {name: t for name, t in choice.candidates.items() if t is not None}
            assert times.keys() == choice.candidates.keys()
            assert choice.implementation == min(times, key=times.__getitem__)
        else:
            assert choice.origin == "preferred"
    assert model(torch.rand(2, 3, 9, 9)).shape == (2, 4)
