"""Whether times of engines may be compared: the limits, and the reason why not."""

from __future__ import annotations

from collections.abc import Mapping

from netspec.timing.timing import Timing

NOTICED = 0.05
"""The share of the processors, used by other processes, above which times are not compared."""

NARROW = 0.05
"""The largest distance of the quartiles, relative to the median, at which times are compared."""

LEAST = 4
"""The least number of rounds that have quartiles."""


def disturbance(timings: Mapping[str, Timing], others: float | None) -> str | None:
    """Return the reason why these engines are not compared; None if they may be.

    Args:
        timings: of netspec and of the best peer.
        others: the share of the processors that other processes used, or None if unknown.
    """
    if others is not None and others > NOTICED:
        return f"other processes used {others:.0%} of the processors (at most {NOTICED:.0%})"
    for name, timing in timings.items():
        if timing.samples < LEAST:
            return f"{LEAST} rounds or more are needed, and there were {timing.samples}"
        if timing.width > NARROW:
            return (
                f"the quartiles of {name} differ by {timing.width:.0%} of its median "
                f"(at most {NARROW:.0%})"
            )
    return None
