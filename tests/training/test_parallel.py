"""Ranks: sums over parts of a batch, however uneven; one process does nothing."""

from __future__ import annotations

import pytest
import torch

from netspec.errors import DataError
from netspec.training.parallel import BUCKET, Ranks, start
from tests.training.ranks import together


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
    with pytest.raises(DataError, match=r"there is 1: torchrun --nproc-per-node 2"):
        start(columns=2)


def places(ranks: Ranks) -> tuple[int, ...]:
    return ranks.number, ranks.rank, ranks.ranks, ranks.column, ranks.columns, ranks.is_first


def sums(ranks: Ranks) -> list[object]:
    """Gradients of several sizes, one without, one larger than a bucket and channels-last."""
    large = torch.ones(2, BUCKET // 32, 2, 2).to(memory_format=torch.channels_last)
    held = [torch.ones(3), large, torch.ones(2, 2, dtype=torch.float64), torch.ones(4)]
    for i, w in enumerate(held[:3]):
        w.grad = torch.full_like(w, 10.0 * i + ranks.rank)
    ranks.average(held)
    kept = torch.tensor([ranks.rank, 5])
    ranks.same([kept])
    same = all(bool((w.grad == w.grad.flatten()[0]).all()) for w in held if w.grad is not None)
    found = [float(w.grad.flatten()[0]) for w in held if w.grad is not None]
    return [found, same, ranks.sum(torch.tensor([1, ranks.rank])).tolist(), kept.tolist()]


def both(ranks: Ranks) -> list[object]:
    return [places(ranks), sums(ranks)]


def test_gradients_are_added_over_parts_of_the_batch_and_not_over_columns() -> None:
    found = together(4, both, columns=2)
    assert [place for place, _ in found] == [
        (0, 0, 2, 0, 2, True), (1, 0, 2, 1, 2, False),
        (2, 1, 2, 0, 2, False), (3, 1, 2, 1, 2, False),
    ]  # fmt: skip
    for _, summed in found:
        assert summed == [[1.0, 21.0, 41.0, 0.0], True, [2, 1], [0, 5]]
