"""Peak memory is that of running: neither the imports' nor what only compiling takes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from netspec.errors import DataError
from netspec.timing import engines as module
from netspec.timing import memory
from netspec.timing.case import Case
from netspec.timing.engine import Engine
from netspec.timing.timing import Call
from tests.timing.helpers import case_of

MB = 10**6
pytestmark = pytest.mark.skipif(not memory.RESET.exists(), reason="needs Linux's /proc")


class Greedy(Engine):
    """Keeps 40 MB, takes 80 MB more while it runs and 400 MB while it compiles."""

    name = "greedy"

    def compile(self, case: Case) -> Call:
        torch.ones(400 * MB, dtype=torch.uint8)
        kept = torch.ones(40 * MB, dtype=torch.uint8)
        return lambda: (kept, torch.ones(80 * MB, dtype=torch.uint8))[0].shape


def greedy(case: dict[str, object]) -> int:
    module.engines = lambda: {"greedy": Greedy()}
    return memory.measured({"case": case, "engine": "greedy", "threads": 1})


def test_what_running_takes_is_counted_and_what_compiling_takes_is_not(tmp_path: Path) -> None:
    """In a process that does nothing else: what this one has from other tests may grow as well."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        measured = alone.submit(greedy, case_of(tmp_path).as_json()).result()
    assert 115 * MB < measured < 150 * MB


def test_a_process_of_its_own_holds_the_weights_once(tmp_path: Path) -> None:
    wide = "net wide\ninput image 100x100x1\na: fc 1000\n"
    case = case_of(tmp_path, wide, batch=1)  # weights of 40 MB
    assert 40 * MB < memory.peak(case.as_json(), "eager", 1) < 75 * MB


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    case = case_of(tmp_path).as_json()
    with pytest.raises(DataError, match="ended with 1: KeyError: 'nobody'"):
        memory.peak(case, "nobody", 1)


def test_without_proc_it_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "RESET", tmp_path / "none")
    with pytest.raises(DataError, match="on Linux only"):
        memory.peak({}, "eager", 1)
