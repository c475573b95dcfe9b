"""Whatever happens to parameters between two runs, in any order, the next run has them."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

import netspec
from tests.examples import examples
from tests.runtime.test_parameters import NEAR, NET, X, assert_current, drawn, plain_answer


class Twice(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 1.5 * weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight / 1.5


class Sequence:
    """A model, and everything that may happen to it between two runs."""

    def __init__(self) -> None:
        self.model = netspec.compile(NET)

    def parameter(self, rng: random.Random) -> tuple[nn.Module, str, Tensor]:
        name = rng.choice(list(netspec.reference(NET).state_dict()))
        path, _, last = name.rpartition(".")
        row = self.model.get_submodule(path)
        return row, last, getattr(row, last)

    def fresh(self, like: Tensor, rng: random.Random) -> Tensor:
        values = drawn(*like.shape, seed=rng.randrange(10**6)).abs() + 0.1  # variances are positive
        return nn.Parameter(values) if isinstance(like, nn.Parameter) else values

    def set_it(self, rng: random.Random) -> None:
        row, last, tensor = self.parameter(rng)
        setattr(row, last, self.fresh(tensor, rng))

    def delete_and_set(self, rng: random.Random) -> None:
        row, last, tensor = self.parameter(rng)
        if last in row._parameters or last in row._buffers:
            new = self.fresh(tensor, rng)
            delattr(row, last)
            setattr(row, last, new)

    def replace_module(self, rng: random.Random) -> None:
        row = rng.choice(["b", "F"])
        self.model.add_module(row, copy.deepcopy(getattr(self.model, row)))
        for parameter in getattr(self.model, row).parameters():
            parameter.data = self.fresh(parameter.data, rng)

    def in_place(self, rng: random.Random) -> None:
        tensor = self.parameter(rng)[2]
        with torch.no_grad():
            tensor.mul_(1 + rng.random())

    def through_data(self, rng: random.Random) -> None:
        row, last, tensor = self.parameter(rng)
        if last in row._parameters:
            tensor.data = self.fresh(tensor.data, rng)

    def without_a_trace(self, rng: random.Random) -> None:
        self.parameter(rng)[2].data.mul_(1 + rng.random())
        self.model.eval()

    def step(self, rng: random.Random) -> None:
        for parameter in self.model.parameters():
            parameter.grad = torch.full_like(parameter, -rng.random())
        how = rng.choice([{"fused": True}, {"foreach": True}, {"foreach": False}])
        kind = rng.choice([torch.optim.SGD, torch.optim.Adam])
        kind(self.model.parameters(), lr=0.1, **how).step()

    def call_with(self, rng: random.Random) -> None:
        names = dict(self.model.named_parameters())
        name = rng.choice(sorted(names))
        given_parameters = {name: self.fresh(names[name].detach(), rng)}
        y = torch.func.functional_call(self.model, given_parameters, (X,))
        if not self.model.training:
            plain = copy.deepcopy(self.model)
            with torch.no_grad():
                dict(plain.named_parameters())[name].copy_(given_parameters[name])
            torch.testing.assert_close(y, plain_answer(plain), **NEAR)

    def parametrise(self, rng: random.Random) -> None:
        row = getattr(self.model, rng.choice(["b", "F"]))
        if parametrize.is_parametrized(row):
            parametrize.remove_parametrizations(row, "weight", rng.random() < 0.5)
        else:
            parametrize.register_parametrization(row, "weight", Twice())

    def swap(self, rng: random.Random) -> None:
        row, last, tensor = self.parameter(rng)
        if last in row._parameters:
            new = self.fresh(tensor, rng)
            del tensor
            torch.utils.swap_tensors(row._parameters[last], new)

    def load(self, rng: random.Random) -> None:
        state = {
            name: t if name == "x" else self.fresh(t, rng).detach()
            for name, t in self.model.state_dict().items()
        }
        self.model.load_state_dict(state, assign=rng.random() < 0.5)

    def load_what_does_not_fit(self, rng: random.Random) -> None:
        state = self.model.state_dict()
        name = rng.choice(sorted(state))
        with pytest.raises(RuntimeError, match="size mismatch"):
            self.model.load_state_dict(state | {name: torch.zeros(9, 9)})

    def switch(self, rng: random.Random) -> None:
        self.model.train(rng.random() < 0.5)

    def copy(self, rng: random.Random) -> None:
        self.model = copy.deepcopy(self.model)

    def anew(self, rng: random.Random) -> None:
        self.model = netspec.compile(NET, seed=rng.randrange(99))

    def run(self, rng: random.Random) -> None:
        if not self.model.training:
            assert_current(self.model)


STEPS = [name for name in vars(Sequence) if not name.startswith("_")]
STEPS.remove("parameter")
STEPS.remove("fresh")


def play(steps: list[str], seed: int) -> None:
    rng, sequence = random.Random(seed), Sequence()
    for step in steps:
        getattr(sequence, step)(rng)
        if rng.random() < 0.7:
            sequence.run(rng)
    sequence.model.train(False) if sequence.model.training else None
    sequence.run(rng)


SEQUENCES = st.lists(st.sampled_from(STEPS), min_size=3, max_size=12)


@given(SEQUENCES, st.integers(0, 10**6))
@examples(40)
def test_any_sequence_of_changes_is_answered_from_what_is_there(
    steps: list[str], seed: int
) -> None:
    play(steps, seed)


@pytest.mark.slow
@given(SEQUENCES, st.integers(0, 10**6))
@settings(max_examples=500)
def test_many_sequences_of_changes_are_answered_from_what_is_there(
    steps: list[str], seed: int
) -> None:
    play(steps, seed)


def test_every_kind_of_change_is_seen() -> None:
    for i, step in enumerate(STEPS):
        play([step, "run", step, step], i)
