"""When times may be compared."""

from __future__ import annotations

import pytest

from netspec.timing.timing import Timing, timing
from netspec.timing.verdict import disturbance

QUIET = timing([1.0, 1.01, 1.02, 1.01, 1.0])


@pytest.mark.parametrize("others", [None, 0.0, 0.05])
def test_narrow_quartiles_on_a_quiet_machine_are_compared(others: float | None) -> None:
    assert disturbance({"netspec": QUIET, "eager": QUIET}, others) is None


def test_the_reason_names_what_was_seen() -> None:
    wide = Timing(median=10.0, low=9.8, high=10.6, samples=15, shortest=9.0)
    assert disturbance({"netspec": QUIET, "eager": wide}, 0.0) == (
        "the quartiles of eager differ by 8% of its median (at most 5%)"
    )
    assert disturbance({"netspec": QUIET}, 0.34) == (
        "other processes used 34% of the processors (at most 5%)"
    )
    few = timing([1.0, 1.0, 1.0])
    assert disturbance({"netspec": few}, 0.0) == "4 rounds or more are needed, and there were 3"
