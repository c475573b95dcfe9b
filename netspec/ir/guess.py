"""Suggestions for unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean `relu`?``, or an empty string if no candidate is similar."""
    if len(word) > 40:  # comparing long words is slow, and they are not misspelt names
        return ""
    pool = sorted({c for c in candidates if len(c) <= 40 and c != word})[:2000]
    close = difflib.get_close_matches(word, pool, n=1, cutoff=0.6)
    if not close:
        by_case = {candidate.lower(): candidate for candidate in pool}
        close = difflib.get_close_matches(word.lower(), by_case, n=1, cutoff=0.6)
        close = [by_case[name] for name in close]
    return f"did you mean `{close[0]}`?" if close else ""
