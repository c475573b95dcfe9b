"""How many examples hypothesis draws: all in ``make test-all``, a fifth of them by default."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

ALL = 100
"""Examples of a test that gives no number, in the profile "all"."""


def examples(number: int, **others: Any) -> settings:
    """Return settings with so many examples, of which the profile takes its share."""
    share = settings().max_examples / ALL
    return settings(max_examples=max(1, round(number * share)), **others)


def is_all() -> bool:
    """Return whether the profile is the one that draws all of them."""
    return settings().max_examples == ALL
