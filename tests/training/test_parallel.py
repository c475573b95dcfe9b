"""Ranks: sums over parts of a batch, however uneven; one process does nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist

from netspec import loads
from netspec.errors import DataError
from netspec.training import parallel
from netspec.training.parallel import BUCKET, Ranks, is_first, start
from tests.training.ranks import together
from tests.training.steps import difference, train

ROUNDING = 1e-10
"""Two orders of the same float64 sums: at most some thousand terms of 1.1e-16 each, through four
steps of training; batch normalisations, with an eps of 0.1, magnify them by a few times 10."""

NET = """
net example
input image 8x8x3
a: conv 3x3, 8, pad=1 | bn eps=0.1 | relu | dropout 0.4
b: conv 3x3/2, 6 | relu | lrn 3, alpha=0.2 | maxpool 2x2/1
head side from a, weight=0.3: gap | fc 10 | bn eps=0.1 | softmax
c from b: fc 12 | bn eps=0.1 | tanh | dropout 0.5, scale=test
d: fc 10 | softmax
"""


def test_a_process_by_itself_meets_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with start() as ranks:
        assert ranks == Ranks()
        assert ranks.is_first
        w = torch.ones(2, requires_grad=True)
        ranks.average([w])
        assert w.grad is None
        assert ranks.sum(torch.tensor(3)) == 3
        ranks.wait()


def test_columns_need_as_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(DataError, match=r"2 columns need 2 processes.*there are 3"):
        start(columns=2)
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(DataError, match=r"there is 1: start it with torchrun --nproc-per-node 2"):
        start(columns=2)


TORCHRUN = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("name", TORCHRUN)
@pytest.mark.parametrize("value", [None, "", "x", "-1", "1.5", "0x2", "²", "9" * 5_000, "nan"])
def test_variables_of_torchrun_are_checked(
    name: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other, right in TORCHRUN.items():
        monkeypatch.setenv(other, right)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    if name == "WORLD_SIZE" and not value:  # a process by itself, and the one that prints
        with start() as ranks:
            assert ranks == Ranks()
        assert is_first()
    elif name == "MASTER_ADDR" and value:
        monkeypatch.setattr(parallel, "rendezvous", unreachable)
        with pytest.raises(
            DataError, match=f"cannot connect to the other processes at {value}:29500"
        ):
            start()
    else:
        with pytest.raises(DataError, match=f"{name} is .*: start the processes with torchrun"):
            start()


def unreachable(url: str) -> Any:
    raise dist.DistNetworkError("The client socket has failed to connect\nand more")


def test_the_number_of_a_rank_is_below_that_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TORCHRUN, "RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match="RANK is '2', not a number from 0 to 1"):
        start()


def places(ranks: Ranks) -> tuple[int, ...]:
    return ranks.number, ranks.rank, ranks.ranks, ranks.column, ranks.columns, ranks.is_first


def sums(ranks: Ranks) -> list[object]:
    """Gradients of several sizes, one without, one larger than a bucket and channels-last."""
    large = torch.ones(2, BUCKET // 32, 2, 2).to(memory_format=torch.channels_last)
    weights = [torch.ones(3), large, torch.ones(2, 2, dtype=torch.float64), torch.ones(4)]
    for i, w in enumerate(weights[:3]):
        w.grad = torch.full_like(w, 10.0 * i + ranks.rank)
    ranks.average(weights)
    kept = torch.tensor([ranks.rank, 5])
    ranks.same([kept])
    same = all(bool((w.grad == w.grad.flatten()[0]).all()) for w in weights if w.grad is not None)
    gradients = [float(w.grad.flatten()[0]) for w in weights if w.grad is not None]
    return [gradients, same, ranks.sum(torch.tensor([1, ranks.rank])).tolist(), kept.tolist()]


def both(ranks: Ranks) -> list[object]:
    return [places(ranks), sums(ranks)]


def test_gradients_are_added_over_parts_of_the_batch_and_not_over_columns() -> None:
    answers = together(4, both, columns=2)
    assert [place for place, _ in answers] == [
        (0, 0, 2, 0, 2, True), (1, 0, 2, 1, 2, False),
        (2, 1, 2, 0, 2, False), (3, 1, 2, 1, 2, False),
    ]  # fmt: skip
    for _, summed in answers:
        assert summed == [[1.0, 21.0, 41.0, 0.0], True, [2, 1], [0, 5]]


def distance(ranks: Ranks, sizes: tuple[int, ...]) -> float:
    net = loads(NET)
    return difference(train(Ranks(), net, sizes), train(ranks, net, sizes))


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_parts_of_a_batch_learn_what_one_process_does(processes: int) -> None:
    """With dropout, batch normalisation and a head; parts are uneven, and with four ranks two of
    the last batch are empty."""
    differences = together(processes, distance, (7, 4, 2))
    assert max(differences) < ROUNDING
