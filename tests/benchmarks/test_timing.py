"""A GPU's own clock."""

from __future__ import annotations

import pytest
import torch

from benchmarks.timing import GraphTimer
from netspec.timing.timing import interleaved


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_graph_is_replayed_between_events() -> None:
    timer = GraphTimer()
    with timer.context():
        x = torch.ones(1 << 24, device="cuda", requires_grad=True)
        y, dy = x * 2, torch.ones(1 << 24, device="cuda")
        calls = [
            lambda: torch.autograd.grad(y, x, dy, retain_graph=True),
            lambda: torch.autograd.grad(y, x, dy, retain_graph=True),
        ]
        calls[0]()
        assert 1e-6 < interleaved({"y": timer.prepared(calls)}, rounds=3)["y"].median < 1e-2
