"""Whether two arms differ by more than chance explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev


@dataclass(frozen=True)
class Difference:
    """The mean of one arm less that of another.

    Attributes:
        value: the difference.
        low, high: its 95 % confidence interval.
    """

    value: float
    low: float
    high: float

    @property
    def is_larger_than_noise(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def of_pairs(one: Sequence[float], other: Sequence[float]) -> Difference | None:
    """How two tests of the same nets differ, by Student's t over the pairs; None of fewer than two.

    What nets differ by among themselves cancels in each pair.
    """
    if len(one) < 2:
        return None
    found = [a - b for a, b in zip(one, other, strict=True)]
    return _around(mean(found), stdev(found) ** 2 / len(found), len(found) - 1)


def of_samples(one: Sequence[float], other: Sequence[float]) -> Difference | None:
    """How two samples differ, by Welch's t, which lets their deviations differ.

    None where one has fewer than two values.
    """
    if len(one) < 2 or len(other) < 2:
        return None
    value = mean(one) - mean(other)
    parts = [stdev(sample) ** 2 / len(sample) for sample in (one, other)]
    counts = (len(one) - 1, len(other) - 1)
    below = sum(p**2 / n for p, n in zip(parts, counts, strict=True))
    return _around(value, sum(parts), sum(parts) ** 2 / below if below else 1)


def _around(value: float, variance: float, freedom: float) -> Difference:
    from scipy.stats import t

    margin = float(t.ppf(0.975, freedom)) * math.sqrt(variance)
    return Difference(value, value - margin, value + margin)
