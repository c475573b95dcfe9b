"""A capture, on a stand-in for PyTorch's streams and graphs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from netspec.backends.cuda.graphs import WARM_UP, captured


class StandIn:
    """Notes what is called in which order; ``current`` is the current stream."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.current: Any = self

    def wait_stream(self, stream: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextmanager
    def graph(self, graph: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        """As PyTorch's: after a failed capture the stream of the capture stays the current one."""
        self.calls.append("begin")
        before, self.current = self.current, stream
        yield
        self.calls.append("end")
        self.current = before

    def clear(self) -> None:
        self.calls.append("clear workspaces")

    def set_stream(self, stream: Any) -> None:
        self.current = stream


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    for name in ("stream", "graph", "set_stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(stand_in, name))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stand_in.current)
    monkeypatch.setattr(torch.cuda, "Stream", StandIn)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: "graph")
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", stand_in.clear, raising=False)
    return stand_in


def test_a_capture_has_workspaces_of_its_own(cuda: StandIn) -> None:
    """What the runs before it allocated is forgotten, and so is what it allocated itself."""
    assert captured(lambda: cuda.calls.append("run")) == "graph"  # type: ignore[comparison-overlap]
    capture = ["clear workspaces", "begin", "run", "end", "clear workspaces"]
    assert cuda.calls == [*["run"] * WARM_UP, *capture]


@pytest.mark.parametrize("is_on", [True, False])
def test_no_garbage_is_collected_during_a_capture(cuda: StandIn, is_on: bool) -> None:
    during: list[bool] = []
    try:
        (gc.enable if is_on else gc.disable)()
        captured(lambda: None, lambda: during.append(gc.isenabled()))
        after = gc.isenabled()
    finally:
        gc.enable()
    assert (during, after) == ([False], is_on)


def test_after_a_failed_capture_everything_is_as_before(cuda: StandIn) -> None:
    def fail() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        captured(lambda: None, fail)
    assert gc.isenabled()
    assert cuda.current is cuda
    assert cuda.calls == ["clear workspaces", "begin", "clear workspaces"]
    captured(lambda: None)  # the lock is free again
