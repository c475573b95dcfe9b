"""Parts of HTML: elements, tables, pictures.  Every text is escaped here, and nowhere else.

A string is text and is escaped; :class:`Html` is markup.  So a label of a spec or a name of a class
cannot become markup.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from netspec.ir.words import counted
from netspec.language.diagnostics import printable

if TYPE_CHECKING:
    from netspec.see.figures import Visualisation

VOID = ("br", "img", "input", "meta")
"""Elements without an end tag."""
LINES_SHOWN = 5
"""Lines of words below a picture; more lines are folded."""


class Html(str):
    """A part of a page, in which every text is escaped."""

    __slots__ = ()


def escaped(text: object) -> Html:
    """Return a text as HTML; control characters and invalid Unicode are replaced."""
    valid = str(text).encode("utf-8", "backslashreplace").decode()
    lines = (printable(line) for line in valid.split("\n"))
    return Html(escape("\n".join(lines)))


def joined(parts: Iterable[str]) -> Html:
    """Return parts one after the other; those that are not :class:`Html` are escaped."""
    return Html("".join(part if isinstance(part, Html) else escaped(part) for part in parts))


def element(tag: str, /, *children: str, **attributes: Any) -> Html:
    """Return an element.

    Args:
        tag: Name of the element.
        children: Its content; a text that is not :class:`Html` is escaped.
        attributes: Its attributes.  The underscore at the end of ``class_`` and ``for_`` is
            removed, other underscores become hyphens.  None omits an attribute, True writes its
            name alone.
    """
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(value)}"')
        for name, value in attributes.items()
        if value is not None
    )
    end = "" if tag in VOID else f"{joined(children)}</{tag}>"
    return Html(f"<{tag}{written}>{end}")


def paragraphs(lines: Iterable[str]) -> Html:
    """Return one paragraph per line."""
    return joined(element("p", line) for line in lines)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    foot: Iterable[Sequence[str]] = (),
    caption: str = "",
    class_: str | None = None,
) -> Html:
    """Return a table that scrolls within its frame if the page is too narrow.

    Args:
        columns: Headings.
        rows: Cells of each row.  The first cell is the heading of the row.
        numbers: Headings of the columns that are aligned at the right.
        foot: Rows of totals.
        caption: Name of the table for readers that do not see it.
        class_: Class of the table.
    """
    kinds = ["num" if column in numbers else None for column in columns]

    def line(cells: Sequence[str]) -> Html:
        first, *others = zip(cells, kinds, strict=True)
        heading = element("th", first[0], scope="row", class_=first[1])
        return element("tr", heading, *(element("td", c, class_=kind) for c, kind in others))

    headings = (
        element("th", column, scope="col", class_=kind)
        for column, kind in zip(columns, kinds, strict=True)
    )
    totals = joined(map(line, foot))
    content = [
        element("caption", caption, class_="unseen") if caption else Html(),
        element("thead", element("tr", *headings)),
        element("tbody", *map(line, rows)),
        element("tfoot", totals) if totals else Html(),
    ]
    # a frame that scrolls must be reachable with the keyboard
    return element("div", element("table", *content, class_=class_), class_="wide", tabindex="0")


def folded(summary: str, *content: str) -> Html:
    """Return content that a reader can unfold."""
    return element("details", element("summary", summary), *content)


def data_block(data: Any, class_: str) -> Html:
    """Return data for a script, as JSON.  It cannot end the block: ``<`` is ``\\u003c`` in it."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return Html(f'<script type="application/json" class="{class_}">{text}</script>')


def bar(share: float) -> Html:
    """Return a bar, whose length is a share (0 to 1) of its cell."""
    length = f"{100 * min(max(share, 0.0), 1.0):.2f}"
    # an SVG, because the policy of the page does not accept style attributes
    return element(
        "svg", element("rect", width=length, height="10"), class_="bar", viewBox="0 0 100 10",
        preserveAspectRatio="none", aria_hidden="true",
    )  # fmt: skip


def picture(
    shown: Visualisation, note: str, cleaned: Callable[[str], str], remarks: Sequence[str] = ()
) -> Html:
    """Return a picture of ``netspec see``, with its caption and its figures in words below it.

    Args:
        shown: The picture.
        note: Sentences that say how to read it.
        cleaned: Returns a text of the picture without paths of this machine.
        remarks: Remarks on the data, such as images that were skipped.

    Raises:
        DataError: matplotlib is not installed.
    """
    from netspec.see.figures import rendered, styled

    with styled():
        figure = shown.draw()
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    title, *lines = map(cleaned, [shown.caption.split("\n")[0], *shown.lines()])
    image = element(
        "img",
        src=f"data:image/png;base64,{b64encode(rendered(figure, 'png')).decode()}",
        alt=". ".join([title, *lines[:LINES_SHOWN]]),
        width=width,
        height=height,
    )
    words = paragraphs(lines)
    below = words if len(lines) <= LINES_SHOWN else folded("The figures in words", words)
    heading = element("p", element("span", f"{title}. ", class_="title"), note)
    skipped = folded(counted(len(remarks), "remark"), paragraphs(map(cleaned, remarks)))
    caption = element("figcaption", heading, below, *([skipped] if remarks else []))
    return element("figure", element("div", image, class_="picture", tabindex="0"), caption)
