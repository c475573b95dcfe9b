"""Sections that are facts: pairs of a name and a value, as a list or side by side as a table."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.reporting.html import Html, element, joined, table
from netspec.reporting.subject import Subject

Facts = Sequence[tuple[str, str]]
"""Names and values, in order."""


def as_list(facts: Facts, class_: str = "facts") -> Html:
    """Return facts as a list of names and values."""
    pairs = (
        element("div", element("dt", name), element("dd", value)) for name, value in facts if value
    )
    return element("dl", *pairs, class_=class_)


def as_table(a: Subject, b: Subject, of_a: Facts, of_b: Facts) -> Html:
    """Return the facts of two subjects side by side; values that differ are marked."""
    left, right = dict(of_a), dict(of_b)
    rows = []
    for name in dict.fromkeys([*left, *right]):
        values = [facts.get(name, "") for facts in (left, right)]
        if not any(values):
            continue
        differs = "differs" if values[0] != values[1] else None
        rows.append([name, *(joined([element("span", v, class_=differs)]) for v in values)])
    return table(["", *names_of(a, b)], rows, class_="facts")


def names_of(a: Subject, b: Subject) -> list[str]:
    """Return the names of two subjects; equal names are numbered."""
    if a.name != b.name:
        return [a.name, b.name]
    return [f"{a.name} (first)", f"{b.name} (second)"]
