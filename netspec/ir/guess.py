"""Suggestions for unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 40
"""Characters of a name; longer ones are not compared, which would take long."""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean `relu`?`` or an empty string."""
    close = close_matches(word, candidates, 1)
    return f"did you mean `{close[0]}`?" if close else ""


def close_matches(word: str, candidates: Iterable[str], most: int = 3) -> list[str]:
    """Return the candidates that are like a word, the closest first, at most ``most``.

    Upper and lower case count as different, unless nothing is close otherwise.
    """
    if len(word) > LONGEST:
        return []
    pool = sorted({c for c in candidates if len(c) <= LONGEST and c != word})[:2000]
    close = difflib.get_close_matches(word, pool, most, cutoff=0.6)
    if not close:
        by_case = {candidate.lower(): candidate for candidate in pool}
        close = difflib.get_close_matches(word.lower(), by_case, most, cutoff=0.6)
        close = [by_case[name] for name in close]
    return close
