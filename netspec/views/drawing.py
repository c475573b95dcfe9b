"""The picture of a net as text in the DOT language, which the program Graphviz lays out."""

from __future__ import annotations

import textwrap
from html import escape

import graphviz

from netspec.errors import DataError
from netspec.files.reading import reason_of
from netspec.ir.ops import OPERATORS
from netspec.language.diagnostics import printable
from netspec.net import Net
from netspec.views.boxes import Box, Cluster, Drawing, End, Fork, Item, Size
from netspec.views.operator_text import short_text

FILLS = {
    "input": "#ffffff",
    "conv": "#d9e6f5",
    "pool": "#d9ecdb",
    "norm": "#f7ebcb",
    "fc": "#e8dcf1",
    "join": "#e3e6e9",
    "other": "#ffffff",
}
INK, QUIET, LINE = "#1f2328", "#57606a", "#7d8590"
LARGE, NORMAL, SMALL = 20, 12, 10
FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontcolor": INK, "fontsize": f"{NORMAL}"}
LINES = {"color": LINE, "penwidth": "0.9"}
DPI, LARGEST = "144", 32_766
"""Dots an inch of a png, and the height or width that Graphviz makes larger ones fit."""
MOST = 2_000
"""Stages that Graphviz lays out within seconds, whatever their edges."""
NARROW = 52
"""Characters in a line of the title."""

GRAPH = FONT | {"labelloc": "t", "ranksep": "0.28", "nodesep": "0.2", "pad": "0.25"}
NODE = FONT | LINES | {"shape": "box", "style": "filled,rounded", "margin": "0.1,0.04"}
NODE |= {"height": "0.3", "width": "0.6"}
EDGE = FONT | LINES | {"fontsize": f"{SMALL}", "fontcolor": QUIET, "arrowsize": "0.6"}
CLUSTER = {"style": "filled,rounded", "color": "#c9ced4", "fillcolor": "#f6f8fa"}
HEAD = {"style": "filled,rounded,dashed", "color": "#b08800", "fillcolor": "#fffdf5"}
HEAD |= {"labelloc": "b"}  # the edge into a head comes from the side, over its upper corner
FORK = {"shape": "point", "width": "0.05", "height": "0.05", "ordering": "out"}
SIZE = {"shape": "plaintext", "style": "", "margin": "0", "height": "0.1", "width": "0.1"}
SIZE |= {"fontsize": f"{SMALL}", "fontcolor": QUIET}


def drawing(net: Net) -> graphviz.Digraph:
    """The picture of a net; its ``source`` is the DOT text, and a notebook shows the picture."""
    look = {"graph_attr": GRAPH, "node_attr": NODE, "edge_attr": EDGE}
    digraph: graphviz.Digraph = graphviz.Digraph(net.name, **look)
    digraph.attr(label=_title(net))
    _Drawing(net).draw(digraph)
    return digraph


def rendered(net: Net, form: str) -> bytes:
    """The picture of a net as a file of the form ``"svg"``, ``"png"`` or ``"dot"``.

    Raises:
        DataError: the program that lays pictures out is missing or fails (``"dot"`` needs none), or
            the picture is too large for it, or for a png.
    """
    if form != "dot" and len(net.graph) > MOST:
        raise DataError(
            f"{net.name} is too large for a picture: {len(net.graph):,} stages, and {MOST:,} are"
            " laid out within seconds\n  what Graphviz would be given: -o FILE.dot"
        )
    digraph = drawing(net)
    if form == "dot":
        return str(digraph.source).encode()
    if form == "png":
        digraph.attr(dpi=DPI)
    try:
        picture: bytes = digraph.pipe(format=form, quiet=True)
    except graphviz.ExecutableNotFound:
        raise DataError(
            f"a picture as {form} needs Graphviz, whose program `dot` is not here\n"
            "  Debian, Ubuntu: apt install graphviz\n"
            "  macOS:          brew install graphviz\n"
            "  a .dot file needs no program: -o FILE.dot"
        ) from None
    except graphviz.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        raise DataError(f"Graphviz cannot draw {net.name}: {reason or error}") from None
    except OSError as error:
        raise DataError(f"Graphviz's program `dot` does not start: {reason_of(error)}") from None
    if form == "png" and max(_png_size(picture)) >= LARGEST:  # Graphviz made it smaller
        raise DataError(f"{net.name} is too large for a picture as png: draw it as svg")
    return picture


def _png_size(picture: bytes) -> tuple[int, int]:
    """Return width and height, from the header."""
    return int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])


def grouped(number: object) -> str:
    """Return a count with separated thousands, if it is a number: ``6,998,552``."""
    return f"{number:,}" if isinstance(number, int) else str(number)


class _Drawing:
    """Draws a net into a DOT graph: cluster by cluster, then the edges."""

    def __init__(self, net: Net) -> None:
        self.heads = net.graph.heads
        self.drawing = Drawing(net.graph)
        self.items_of: dict[str, list[Cluster | Item]] = {"": []}
        for item in self.drawing.items.values():
            self._items_of(item.cluster).append(item)

    def _items_of(self, name: str) -> list[Cluster | Item]:
        """Return the items of a cluster; a new one is added at the position of its first item."""
        if name not in self.items_of:
            cluster = self.drawing.clusters[name]
            self._items_of(cluster.parent).append(cluster)
            self.items_of[name] = []
        return self.items_of[name]

    def draw(self, digraph: graphviz.Digraph) -> None:
        self._draw_cluster("", digraph)
        for tail, head, size, weight, is_seen in self.drawing.edges:
            look = {"weight": f"{weight}"}
            if size:
                look["label"] = graphviz.escape(f"  {size}  ")
            if not is_seen:
                look["style"] = "invis"
            elif isinstance(self.drawing.items[head], Fork | Size):
                look["arrowhead"] = "none"
            digraph.edge(tail, head, **look)

    def _draw_cluster(self, name: str, digraph: graphviz.Digraph) -> None:
        for item in self.items_of[name]:
            if isinstance(item, Cluster):
                with digraph.subgraph(name=f"cluster {item.name}") as inner:
                    look = HEAD if item.name in self.heads else CLUSTER
                    inner.attr(label=self._cluster_label(item), labeljust="l", margin="18", **look)
                    self._draw_cluster(item.name, inner)
            elif isinstance(item, Box):
                digraph.node(item.name, _box_label(item), fillcolor=FILLS[item.kind])
            elif isinstance(item, End):
                label = stacked(bold(item.label), plain(str(item.shape)))
                digraph.node(item.name, label, fillcolor="#ffffff")
            elif isinstance(item, Size):
                digraph.node(item.name, graphviz.escape(str(item.shape)), **SIZE)
            else:
                digraph.node(item.name, "", **FORK)

    def _cluster_label(self, cluster: Cluster) -> str:
        if cluster.name in self.heads:
            detail = f"head, weight {self.heads[cluster.name].weight:g}"
        else:  # the block that the row is, if it is one
            detail = (
                "" if len(cluster.words) > 1 or cluster.words[0] in OPERATORS else cluster.words[0]
            )
        return stacked(
            f"{bold(cluster.label)}&#160; {small(detail)}" if detail else bold(cluster.label)
        )


# ---------------------------------------------------------------------------------------- labels


def _title(net: Net) -> str:
    totals, with_heads = net.totals, net.totals_with_heads
    heads = with_heads.parameters - totals.parameters
    apart = f" (and {grouped(heads)} in heads)" if heads else ""
    return stacked(
        f'<FONT POINT-SIZE="{LARGE}">{bold(net.name)}</FONT>',
        *map(plain, textwrap.wrap(printable(net.title), NARROW)),
        f"{grouped(totals.parameters)} parameters{apart}",
        f"{grouped(totals.macs)} multiply-accumulates an image",
        "&#160;",
    )


def _box_label(box: Box) -> str:
    first, *behind = box.stages
    if box.kind == "input":
        return stacked(bold(first.name), plain(str(box.shape)))
    lines = [bold(box.label)] if box.label else []
    lines.append(plain(short_text(first.op)))
    if behind:
        lines.append(small(" | ".join(short_text(stage.op) for stage in behind)))
    return stacked(*lines)


def stacked(*lines: str) -> str:
    """An HTML-like label; a table, because Graphviz centres its lines better than bare ones."""
    rows = "".join(f"<TR><TD>{line}</TD></TR>" for line in lines)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def bold(text: str) -> str:
    """Return a part of an HTML-like label in bold."""
    return f"<B>{plain(text)}</B>"


def small(text: str) -> str:
    """Return a part of an HTML-like label in small grey letters."""
    return f'<FONT POINT-SIZE="{SMALL}" COLOR="{QUIET}">{plain(text)}</FONT>'


def plain(text: str) -> str:
    """Escape a text for an HTML-like label, in which Graphviz also interprets backslashes."""
    return escape(text).replace("\\", "\\\\")
