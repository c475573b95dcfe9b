"""Statistical tests: do two arms differ by more than chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import mean, stdev

from netspec.errors import DataError


@dataclass(frozen=True)
class Difference:
    """The mean of one arm minus the mean of another.

    Attributes:
        value: the difference of the means.
        low, high: its 95 % confidence interval.
    """

    value: float
    low: float
    high: float

    @property
    def is_larger_than_noise(self) -> bool:
        """True if the interval does not contain 0."""
        return self.low > 0 or self.high < 0


def of_pairs(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Return the difference of two tests of the same nets, by Student's t-test for pairs.

    Pairs remove the variation between nets.  Return None if there are fewer than two pairs.
    """
    if len(first) < 2:
        return None
    differences = [a - b for a, b in zip(first, second, strict=True)]
    count = len(differences)
    return _around(mean(differences), stdev(differences) ** 2 / count, count - 1)


def require_scipy() -> None:
    """Raise DataError, before anything is trained, if scipy is missing."""
    if find_spec("scipy") is None:
        raise DataError(
            "comparisons take Student's t from scipy, which is not installed: "
            "pip install 'netspec-compiler[compare]'"
        )


def of_samples(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Return the difference of two samples, by Welch's t-test, which allows unequal variances.

    Return None if a sample has fewer than two values.
    """
    if len(first) < 2 or len(second) < 2:
        return None
    value = mean(first) - mean(second)
    parts = [stdev(sample) ** 2 / len(sample) for sample in (first, second)]
    counts = (len(first) - 1, len(second) - 1)
    below = sum(p**2 / n for p, n in zip(parts, counts, strict=True))
    return _around(value, sum(parts), sum(parts) ** 2 / below if below else 1)


def _around(value: float, variance: float, freedom: float) -> Difference:
    from scipy.stats import t

    margin = float(t.ppf(0.975, freedom)) * math.sqrt(variance)
    return Difference(value, value - margin, value + margin)
