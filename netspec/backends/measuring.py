"""Time candidates in turns; if one fails, its reason is kept and the others are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

from netspec.lowering.choices import Outcomes

Run = Callable[[], float]
"""Run a candidate once; return the seconds."""


def in_turns(
    candidates: Mapping[str, Callable[[], Run]],
    *,
    rounds: int,
    between: Callable[[], object],
    check: Callable[[], object] = lambda: None,
) -> Outcomes:
    """Return the median seconds of each candidate, or the reason why it failed.

    Args:
        candidates: by name, a function that prepares the candidate and returns its run.
        rounds: the number of runs of each.
        between: called before each run.
        check: called after a failure; raises an error if the device cannot be used any more, so
            that the candidates after it are not reported as failures.
    """
    runs: dict[str, Run] = {}
    failures: dict[str, str] = {}

    def attempt(name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever a library or a compiler raises
            failures[name] = reason(error)
            runs.pop(name, None)
            check()

    def prepare(name: str) -> None:
        runs[name] = candidates[name]()

    def sample(name: str) -> None:
        between()
        samples[name].append(runs[name]())

    for name in candidates:
        attempt(name, partial(prepare, name))
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name in list(runs):
            attempt(name, partial(sample, name))
    return {
        name: failures[name] if name in failures else median(samples[name]) for name in candidates
    }


def reason(error: Exception) -> str:
    """Return the type and the first line of the message of an error."""
    first, *_ = [*str(error).strip().splitlines(), ""]
    kind = type(error).__name__
    return f"{kind}: {first}"[:200] if first else kind
