"""The drawing of a net for a page: laid out here by Graphviz, or later by the reader's browser.

If the program Graphviz is installed, the page has the finished drawing, so a reader without scripts
sees it too.  Otherwise the page has the text of the graph, and Graphviz as WebAssembly
(``assets/viz.js``) lays it out when the page is opened.
"""

from __future__ import annotations

import re

from netspec.errors import DataError
from netspec.net import Net
from netspec.reporting.html import Html, data_block, element, joined
from netspec.views.drawing import MOST, digraph, rendered

SOURCE = "graph-source"
"""Class of the block of data with the text of a graph that the browser lays out."""


def laid_out(net: Net) -> Html:
    """Return the drawing of a net as SVG, or the graph that a browser draws.

    Raises:
        DataError: The net is too large to be drawn.
    """
    if len(net.graph) > MOST:
        raise DataError(
            f"{net.name} is too large to be drawn: it has {len(net.graph):,} stages, and at most "
            f"{MOST:,} are laid out"
        )
    try:
        drawing = rendered(net, "svg").decode()
    except DataError:  # the program is missing or fails: the browser's Graphviz does not need it
        waiting = element("p", "Your browser draws the graph, if scripts are allowed.")
        return joined([waiting, data_block(str(digraph(net).source), SOURCE)])
    # without the XML declaration and comments, which HTML does not have
    drawing = re.sub(r"<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)  # two drawings would have the same ids
    return Html(drawing[drawing.index("<svg") :])


def needs_browser(page: str) -> bool:
    """Return True if a page has a graph that the browser lays out."""
    return f'class="{SOURCE}"' in page  # no text has it, because quotes of texts are escaped
