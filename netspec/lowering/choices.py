"""The choice of an implementation for each stage: a pass of its own, whose decisions are data.

Unmeasured, the backend's order of preference decides; measured, the fastest does.  Decisions are
printed, stored in artifacts, and can be passed back, edited or not.
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
    """The implementation of a stage, among ``candidates``: seconds for a batch where measured."""

    implementation: str
    candidates: Mapping[str, float | None] = field(default_factory=dict)
    origin: str = "preferred"
    """``preferred``, ``measured`` or ``given``."""

    def as_json(self) -> dict[str, Any]:
        """Return plain data, times in milliseconds."""
        times = {k: None if t is None else round(t * 1e3, 6) for k, t in self.candidates.items()}
        return {
            "implementation": self.implementation,
            "origin": self.origin,
            "candidates_ms": times,
        }


CHOICES = table(text(100))
"""The names of implementations by stage, as JSON has them."""

Choices = dict[str, Choice]
"""By the name of the stage."""

Measure = Callable[[Problem, Sequence[Implementation]], Mapping[str, float]]
"""Seconds that each implementation takes, but those that turn out not to run."""


def choose(
    problems: Mapping[str, Problem],
    implementations: Callable[[Problem], Sequence[Implementation]],
    *,
    measure: Measure | None = None,
    decided: Mapping[str, str] | None = None,
) -> Choices:
    """Decide for each stage.

    Args:
        problems: the stages that compute, and their work.
        implementations: those that can solve a problem, the preferred one first.
        measure: times them; without it, the preferred one is taken.
        decided: implementations that were chosen before, by stage.

    Raises:
        DataError: a decision names an unknown stage or implementation.
    """
    decided = decided or {}
    for stage in decided:
        if stage not in problems:
            raise DataError(
                f"the choices name a stage {stage!r} that the compiled net does not have"
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
                message = f"{stage} cannot be computed by {decided[stage]!r}; there is {known}"
                raise DataError(message)
            chosen[stage] = Choice(decided[stage], times, "given")
        elif measure is not None and len(candidates) > 1:
            measured = measure(problem, candidates)
            fastest = min(measured, key=measured.__getitem__)
            chosen[stage] = Choice(fastest, {**times, **measured}, "measured")
        else:
            chosen[stage] = Choice(candidates[0].name, times)
    return chosen
