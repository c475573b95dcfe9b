"""Counts with their nouns, such as ``2 rows``."""

from __future__ import annotations


def plural(word: str, number: int) -> str:
    """Return the form of a noun after a number: ``row`` after 1, ``rows`` after any other."""
    if number == 1:
        return word
    return f"{word}es" if word.endswith(("s", "tch", "nch")) else f"{word}s"


def counted(number: int, word: str) -> str:
    """Return ``1 row``, ``2 rows``, ``1,000 rows``."""
    return f"{number:,} {plural(word, number)}"


MIB = 2**20


def as_size(count: float) -> str:
    """Return a number of bytes as text: ``1.5 MiB``."""
    return f"{count / MIB:,.1f} MiB" if count >= MIB / 10 else f"{count / 1024:,.1f} KiB"
