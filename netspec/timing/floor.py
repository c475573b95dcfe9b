"""The floor: the least time in which a stage or a net can run at the rates of the machine."""

from __future__ import annotations

from math import isfinite
from typing import Any

from netspec.compiler import backend_of
from netspec.lowering.backend import Backend
from netspec.lowering.implementation import Problem
from netspec.lowering.lowered import Lowered, lowered
from netspec.timing.case import Case
from netspec.timing.rates import Rates


def fewest(problem: Problem, backend: Backend) -> float:
    """Return the fewest operations by which an implementation of the backend computes a stage."""
    return min(one.operations(problem) for one in backend.implementations(problem))


def of_stage(problem: Problem, backend: Backend, rates: Rates, kept: int) -> float:
    """Return the floor of a stage in seconds; ``kept`` bytes of its maps stay in the cache."""
    return rates.least(fewest(problem, backend), problem.bytes - kept)


def of_net(net: Lowered, rates: Rates) -> dict[str, Any]:
    """Return the floor of a net: the time for its operations or for its weights.

    Maps are not counted: each is written by one stage and read by the next, from a cache.
    """
    problems = net.problems.values()
    operations = sum(fewest(problem, net.backend) for problem in problems)
    weights = sum(problem.weight_bytes for problem in problems)
    return {
        "gflop": operations / 1e9,
        "weights_mb": weights / 1e6,
        "cache_mb": rates.cache / 1e6 if isfinite(rates.cache) else None,
        "gflop_per_s": rates.product / 1e9,
        "copy_gb_per_s": rates.memory / 1e9,
        "compute_ms": rates.least(operations, 0) * 1e3,
        "weights_ms": rates.least(0, weights) * 1e3,
        "ms": rates.least(operations, weights) * 1e3,
    }


def floor(case: Case, rates: Rates) -> dict[str, Any]:
    """Return the floor of a case, see :func:`of_net`."""
    backend = backend_of(case.device)
    return of_net(lowered(case.net.graph, backend, dtype=case.type, batch=case.batch), rates)
