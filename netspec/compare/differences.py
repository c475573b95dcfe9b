"""Whether two arms differ by more than runs of one arm do."""

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
        low, high: its 95 % confidence interval by Welch's t, which lets the deviations differ.
    """

    value: float
    low: float
    high: float

    @property
    def is_larger_than_noise(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def difference(one: Sequence[float], other: Sequence[float]) -> Difference | None:
    """How two samples differ; None where one has fewer than two values."""
    if len(one) < 2 or len(other) < 2:
        return None
    value = mean(one) - mean(other)
    parts = [stdev(sample) ** 2 / len(sample) for sample in (one, other)]
    if not any(parts):
        return Difference(value, value, value)
    from scipy.stats import t

    counts = (len(one) - 1, len(other) - 1)
    freedom = sum(parts) ** 2 / sum(p**2 / n for p, n in zip(parts, counts, strict=True))
    margin = float(t.ppf(0.975, freedom)) * math.sqrt(sum(parts))
    return Difference(value, value - margin, value + margin)
