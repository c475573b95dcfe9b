"""The differences of two nets, as ``netspec diff`` prints them."""

from __future__ import annotations

from netspec.errors import DataError
from netspec.reporting.html import Html, element, joined
from netspec.reporting.subject import Subject
from netspec.views.diff import diff
from netspec.views.diff_table import lines


def content(subject: Subject) -> Html:
    """Raise DataError: differences need two subjects."""
    raise DataError("there is one subject: give two, netspec report A B")


def compared(a: Subject, b: Subject) -> Html:
    """Return the rows that differ."""
    shown = (
        joined([element("span", line.text, class_=line.role or None), Html("\n")])
        for line in lines(diff(a.net, b.net))
    )
    return element("pre", *shown, class_="diff", tabindex="0")
