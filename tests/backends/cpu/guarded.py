"""Steps bound to memory that ends, or begins, at a page that nobody may touch; a program.

``python -m tests.backends.cpu.guarded SEED NETS PIECES`` runs every implementation of every step of
so many random nets, and of random problems, in each type, with each operand, packed weight,
scratch and result in guarded memory of its own.  A read or a write beyond it ends the program with
a signal.  Each case is written to standard output before it runs, so that the last one is the one
that failed.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy, just
from torch import Tensor

import netspec
from netspec.backends.cpu import CpuBackend
from netspec.backends.cpu.implementation import CpuImplementation, bind
from netspec.backends.cpu.onednn.library import share_threads
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.memory import nchw
from netspec.lowering.implementation import Problem
from netspec.lowering.lowered import lowered
from tests.backends.cpu.helpers import TYPES, operands, tensors
from tests.backends.cpu.problems import READ_TOO_FAR, implementations_of, problems
from tests.lowering.passes.strategy import specs


def guarded(size: int, *, at_end: bool) -> Tensor:
    """Bytes that lie right before a page that cannot be read or written, or right behind one."""
    pages = max(1, -(-size // mmap.PAGESIZE))
    memory = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (0, pages + 1):
        at = ctypes.c_void_p(first + page * mmap.PAGESIZE)
        assert protect(at, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0  # PROT_NONE
    start = mmap.PAGESIZE + (pages * mmap.PAGESIZE - size if at_end else 0)
    return torch.frombuffer(memory, dtype=torch.uint8, offset=start, count=size)


def guarded_copy(x: Tensor, *, at_end: bool) -> Tensor:
    if x.is_mkldnn:  # in memory of PyTorch's own
        return x
    copy = guarded(x.numel() * x.itemsize, at_end=at_end).view(x.dtype).view(x.shape)
    return copy.copy_(x)


class GuardedScratch(Scratch):
    """Every place in memory of its own."""

    def __init__(self, *, at_end: bool) -> None:
        super().__init__()
        self.at_end = at_end
        self.asked: list[tuple[int, Callable[[int], object]]] = []
        self.places: list[Tensor] = []

    def take(self, size: int, use: Callable[[int], object]) -> None:
        self.asked.append((size, use))

    def hand_out(self) -> None:
        for size, use in self.asked:
            self.places.append(guarded(size, at_end=self.at_end))
            use(self.places[-1].data_ptr())


def run(problem: Problem, implementation: CpuImplementation, *, at_end: bool) -> Tensor:
    """The result of random operands, in PyTorch's order of axes, all in guarded memory."""
    packed = implementation.pack(problem, tensors(problem))
    packed = {name: guarded_copy(tensor, at_end=at_end) for name, tensor in packed.items()}
    x = [guarded_copy(one, at_end=at_end) for one in operands(problem, problem.batch)]
    y = torch.full((problem.batch, *problem.output), torch.nan, dtype=problem.dtype)
    y, scratch = guarded_copy(y, at_end=at_end), GuardedScratch(at_end=at_end)
    with torch.no_grad():
        calls = bind(implementation, problem, packed, x, y, scratch)
        scratch.hand_out()
        for call in calls:
            call()
    return nchw(y)


def run_both_ways(name: str, problem: Problem, implementation: CpuImplementation) -> None:
    for at_end in (True, False):
        where = "end" if at_end else "begin"
        print(
            f"{name}: {type(implementation).__name__}, memory {where}s at a page: {problem}",
            flush=True,
        )
        assert run(problem, implementation, at_end=at_end).isfinite().all()


def main(number: int, nets: int, pieces: int) -> None:
    torch.set_num_threads(1)
    share_threads()
    cases = 0

    def run_problem(problem: Problem) -> None:
        nonlocal cases
        for implementation in implementations_of(problem):
            run_both_ways("a problem", problem, implementation)
            cases += 2

    def run_net(text: str, dtype: torch.dtype) -> None:
        nonlocal cases
        print(text, flush=True)
        net, backend = netspec.loads(text), CpuBackend()
        for stage, problem in lowered(net.graph, backend, dtype=dtype, batch=2).problems.items():
            for implementation in backend.implementations(problem):
                run_both_ways(stage, problem, implementation)
                cases += 2

    def ran(count: int, run: Callable[..., None], *drawn: SearchStrategy[Any]) -> None:
        how = settings(
            max_examples=count,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=[*HealthCheck],
        )
        seed(number)(how(given(*drawn)(run)))()

    for dtype in TYPES:
        ran(pieces, run_problem, problems(dtype))
        for text in READ_TOO_FAR:
            run_net(text, dtype)
        ran(nets, run_net, specs(), just(dtype))
    print(f"{cases} cases", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
