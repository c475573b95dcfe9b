"""Suggestions for unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean `relu`?`` or an empty string."""
    guess = nearest(word, candidates)
    return f"did you mean `{guess}`?" if guess else ""


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate that is most like a word, or an empty string if none is."""
    if len(word) > 40:
        return ""
    pool = sorted({c for c in candidates if len(c) <= 40 and c != word})[:2000]
    close = difflib.get_close_matches(word, pool, n=1, cutoff=0.6)
    if not close:
        by_case = {candidate.lower(): candidate for candidate in pool}
        close = difflib.get_close_matches(word.lower(), by_case, n=1, cutoff=0.6)
        close = [by_case[name] for name in close]
    return close[0] if close else ""
