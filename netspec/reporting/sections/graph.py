"""The interactive graph of a net."""

from __future__ import annotations

from netspec.reporting.html import Html, element
from netspec.reporting.layout import laid_out
from netspec.reporting.nodes import data_of
from netspec.reporting.subject import Subject

HELP = (
    "Point at a layer for its sizes. Click a layer or a module for its rows. Ctrl and the wheel "
    "zoom, dragging moves."
)


def content(subject: Subject) -> Html:
    """Return the drawing with a search, buttons and the rows of each node as data.

    Raises:
        DataError: The net is too large to be drawn.
    """
    net = subject.net
    search = element(
        "input", type="search", placeholder="Search rows and layers",
        aria_label=f"Search the graph of {net.name}",
    )  # fmt: skip
    buttons = (
        element("button", label, type="button", data_zoom=zoom, aria_label=name, title=name)
        for label, zoom, name in (
            ("−", "out", "Zoom out"), ("+", "in", "Zoom in"), ("Fit", "fit", "Fit the width"),
        )
    )  # fmt: skip
    tools = element("div", search, element("output"), *buttons, class_="tools")
    canvas = element(
        "div", laid_out(net), class_="canvas", tabindex="0", role="group",
        aria_label=f"Graph of {net.name}; the table has the same rows",
    )  # fmt: skip
    return element(
        "div",
        tools,
        element("div", canvas, element("div", class_="rows-of", hidden=True), class_="stage"),
        element("div", class_="tip", hidden=True, role="tooltip"),
        element("p", HELP, class_="note scripted"),
        data_of(net, subject.measured),
        class_="graph",
        data_graph=True,
    )
