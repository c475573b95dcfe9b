"""Frames: one for each batch and number of threads, and for each run at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import Tensor

import netspec
from netspec import loads
from netspec.backends.cpu.executor import KEPT, CpuExecutor
from netspec.runtime.compiled import Compiled
from tests.backends.helpers import random_tensors

NET = """net threads
input image 17x15x3
a: conv 3x3, 40, pad=1 | relu | lrn 5 | maxpool 3x3/2
b: concat { conv 1x1, 33 | relu; conv 3x3, 24, pad=1 | relu; maxpool 3x3/1, pad=1 }
c: avgpool 3x3/1 | conv 1x1, 16 | relu
d: fc 50 | relu
e: fc 10 | softmax
"""
NEAR = {"rtol": 1e-4, "atol": 1e-6}
"""For float32 values of size one whose sums are cut for another number of threads."""


@pytest.fixture
def model() -> Iterator[Compiled]:
    before = torch.get_num_threads()
    compiled = netspec.compile(loads(NET))
    compiled.load_state_dict(random_tensors(compiled.net, torch.float32))
    yield compiled
    torch.set_num_threads(before)


def batch(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 17, 15, generator=torch.Generator().manual_seed(seed))


def executor(model: Compiled) -> CpuExecutor:
    current = model.refresh()
    assert isinstance(current, CpuExecutor)
    return current


def test_the_number_of_threads_may_change_between_runs(model: Compiled) -> None:
    wanted = model.as_reference()(batch(4))
    for threads in (1, 2, 3, 1, 2):
        torch.set_num_threads(threads)
        torch.testing.assert_close(model(batch(4)), wanted, **NEAR)
    assert {threads for _, threads in executor(model)._free} == {1, 2, 3}


def test_threads_of_their_own_numbers_run_at_the_same_time(model: Compiled) -> None:
    """Each sets its number by itself; libgomp and PyTorch keep it for the thread alone."""
    wanted = [model.as_reference()(batch(3, seed)) for seed in range(4)]
    start = Barrier(4, timeout=10)  # or the others wait for one that failed

    def work(number: int) -> None:
        for _ in range(20):
            start.wait()
            torch.set_num_threads(1 + number % 2)
            torch.testing.assert_close(model(batch(3, number)), wanted[number], **NEAR)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_a_thread_that_never_asked_runs_on_as_many_as_were_set(model: Compiled) -> None:
    torch.set_num_threads(2)
    wanted = model(batch(2))
    with ThreadPoolExecutor(1) as pool:
        y = pool.submit(model, batch(2)).result()
        assert torch.equal(y, wanted)
    assert {*executor(model)._free} == {(2, 2)}


def test_bound_plans_are_used_again_and_few_are_kept(model: Compiled) -> None:
    kept = executor(model)._free
    model(batch(1))
    (first,) = kept[1, torch.get_num_threads()]
    model(batch(1))
    assert kept[1, torch.get_num_threads()] == [first]
    for count in range(2, 3 * KEPT):
        torch.testing.assert_close(model(batch(count)), model.as_reference()(batch(count)), **NEAR)
        model(batch(1))
    assert len(kept) == KEPT
    assert kept[1, torch.get_num_threads()] == [first]


def test_a_run_that_fails_leaves_the_bound_plan_behind(model: Compiled) -> None:
    wanted = model(batch(2))
    with pytest.raises(RuntimeError):
        executor(model)(batch(2)[:, :, :16])
    assert torch.equal(model(batch(2)), wanted)


def test_outputs_go_where_they_are_asked_to(model: Compiled) -> None:
    wanted = model(batch(2))
    out = torch.empty(2, 10)
    assert model(batch(2), out=out) is out
    assert torch.equal(out, wanted)
    nothing = torch.empty(0, 10)
    assert model(batch(0), out=nothing) is nothing
