"""Legal attributes of every operator, their bounds among them, in the words of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from hypothesis import HealthCheck
from hypothesis import strategies as st

from netspec.ir.attributes import (
    CODES,
    COUNT,
    EXTRA,
    FLAG,
    KERNEL,
    ODD,
    PADDING,
    PAIR,
    SIDES,
    TABLE,
    Attribute,
    Kind,
)
from netspec.ir.ops import OPERATORS

MANY_REFUSED = [HealthCheck.filter_too_much, HealthCheck.too_slow]
"""Suppressed where attributes are drawn: most combinations of those of windows do not fit."""

HEADER = "net example\ninput image 9x8x6\n"
DRAWN = {
    "connect": "connect who {\nX..\n.X.\nX.X\n..X\nXX.\n.X.\n}\n",  # of the image's 6 channels
    "rbf": f"codes who 1x432 {{\n{'X' * 432}\n}}\n",
}

NUMBERS = (
    "0", "1e-76", "1e-46", "1e-38", "1e-30", "1e-4", "1/3", "0.5", "0.999999999999", "1", "2", "20",
    "1e4", "9e18", "-1", "-9e18", "-1e-46",
)  # fmt: skip
"""Among them the largest and the smallest of the language, which float32 rounds to 0, as 1e-46."""

WRITTEN: dict[Kind, list[str]] = {
    COUNT: ["1", "2", "3", "6"],
    ODD: ["1", "3", "99", str(2**63 - 1)],
    FLAG: ["on", "off"],
    KERNEL: ["1x1", "1x3", "3x3", "5x4", "9x7", "9x8"],
    PAIR: ["1", "2x1", "3x4", "1000"],
    PADDING: ["0", "1", "(0, 1, 2, 0)", "half", "same", "4", "9x8"],
    SIDES: ["0", "1", "(0, 1, 2, 0)", "9x8"],
    EXTRA: ["0", "1", "0x2"],
    TABLE: ["who"],
    CODES: ["who"],
}


def written(attribute: Attribute) -> list[str | None]:
    """Return ways to write an attribute; None leaves it out."""
    kind = attribute.kind
    ways = WRITTEN.get(kind) or list(kind.words) or [n for n in NUMBERS if _takes(kind, n)]
    return [*ways] if attribute.is_required else [None, *ways]


def _takes(kind: Kind, number: str) -> bool:
    try:
        kind.read(Fraction(number))
    except ValueError:
        return False
    return True


def attributes(operator: str) -> st.SearchStrategy[dict[str, str | None]]:
    """Draw all attributes of an operator, of which some combinations are refused."""
    every = OPERATORS[operator].attributes()
    return st.fixed_dictionaries({a.name: st.sampled_from(written(a)) for a in every})


def spec_of(operator: str, given: Mapping[str, str | None]) -> str:
    """Return a spec of an operator with these attributes."""
    if OPERATORS[operator].takes == "many":
        return f"{HEADER}a: relu\nb from a, image, a: {operator}\n"
    told = [
        text if attribute.is_positional else f"{attribute.name}={text}"
        for attribute in OPERATORS[operator].attributes()
        if (text := given[attribute.name]) is not None
    ]
    drawn = DRAWN.get("connect" if given.get("connect") else operator, "")
    return f"{HEADER}{drawn}a: {operator} {', '.join(told)}\n"
