"""Choose an implementation for each stage.

Without a measurement the backend's preferred implementation is chosen, with a measurement the
fastest one.  Choices are data: they are printed, stored in artifacts, and can be edited and given
back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netspec.errors import DataError
from netspec.files.members import table, text
from netspec.lowering.implementation import Implementation, Problem


@dataclass(frozen=True)
class Choice:
    """The chosen implementation of a stage.

    Attributes:
        implementation: its name.
        candidates: the seconds per batch of every possible implementation, None if not measured.
        origin: ``preferred``, ``measured`` or ``given``.
        failures: the reason of each implementation that failed when it was measured.
    """

    implementation: str
    candidates: Mapping[str, float | None] = field(default_factory=dict)
    origin: str = "preferred"
    failures: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the choice as JSON data, with times in milliseconds."""
        times = {k: None if t is None else round(t * 1e3, 6) for k, t in self.candidates.items()}
        return {
            "implementation": self.implementation,
            "origin": self.origin,
            "candidates_ms": times,
            "failures": dict(self.failures),
        }


CHOICES = table(text(100))
"""The check of choices in JSON: names of implementations by stage."""

Choices = dict[str, Choice]
"""Choices by the name of the stage."""

Outcomes = Mapping[str, float | str]
"""By the name of an implementation its seconds per batch, or the reason why it failed."""

Measure = Callable[[Problem, Sequence[Implementation]], Outcomes]
"""Return the outcome of each implementation."""


def choose(
    problems: Mapping[str, Problem],
    implementations: Callable[[Problem], Sequence[Implementation]],
    *,
    measure: Measure | None = None,
    decided: Mapping[str, str] | None = None,
) -> Choices:
    """Return the choice of each stage.

    Args:
        problems: of the stages that compute, by the name of the stage.
        implementations: returns those that can solve a problem, the preferred one first.
        measure: times implementations; without it, and where it returns nothing, the preferred one
            is chosen.
        decided: implementations that were chosen before, by stage.

    Raises:
        DataError: a decision names an unknown stage or implementation.
    """
    decided = decided or {}
    for stage in decided:
        if stage not in problems:
            raise DataError(
                f"the choices name the stage {stage!r}, but the compiled net does not have it"
            )
    chosen: Choices = {}
    for stage, problem in problems.items():
        candidates = list(implementations(problem))
        times: dict[str, float | None] = {
            implementation.name: None for implementation in candidates
        }
        if stage in decided:
            if decided[stage] not in times:
                known = ", ".join(times)
                message = f"{stage} cannot be computed by {decided[stage]!r}: choose one of {known}"
                raise DataError(message)
            chosen[stage] = Choice(decided[stage], times, "given")
        elif measure is not None and len(candidates) > 1:
            chosen[stage] = _fastest(candidates[0].name, times, measure(problem, candidates))
        else:
            chosen[stage] = Choice(candidates[0].name, times)
    return chosen


def _fastest(preferred: str, times: Mapping[str, float | None], outcomes: Outcomes) -> Choice:
    """Return the fastest implementation; if all failed or nothing is known, the preferred one."""
    measured = {name: time for name, time in outcomes.items() if not isinstance(time, str)}
    failures = {name: reason for name, reason in outcomes.items() if isinstance(reason, str)}
    if not measured:
        return Choice(preferred, times, failures=failures)
    fastest = min(measured, key=measured.__getitem__)
    return Choice(fastest, {**times, **measured}, "measured", failures)
