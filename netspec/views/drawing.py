"""The drawing of a net as text in the DOT language, which the program Graphviz lays out."""

from __future__ import annotations

import re
import textwrap
from html import escape

import graphviz

from netspec.errors import DataError
from netspec.files.kinds import DOT, PDF, PNG, SVG
from netspec.files.reading import reason_of
from netspec.ir.arguments import choice
from netspec.ir.columns import column_count
from netspec.ir.ops import OPERATORS
from netspec.ir.words import counted
from netspec.language.diagnostics import printable
from netspec.net import Net
from netspec.views.base_drawing import BaseDrawing
from netspec.views.boxes import Box, Cluster, Contents, Edge, End, Fork, Item, Size
from netspec.views.lanes import Lanes
from netspec.views.operator_text import short_text

FORMS = {"svg": SVG, "png": PNG, "pdf": PDF, "dot": DOT}
RANKDIR = {"down": "TB", "right": "LR"}
"""Graphviz's names of the directions of a drawing."""

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
"""Dots per inch of a PNG, and the largest height or width; Graphviz scales larger ones down."""
MOST = 2_000
"""Stages that Graphviz lays out within seconds, whatever their edges."""
NARROW = 52
"""Characters per line of the title."""

GRAPH = FONT | {"labelloc": "t", "ranksep": "0.28", "nodesep": "0.2", "pad": "0.25"}
NODE = FONT | LINES | {"shape": "box", "style": "filled,rounded", "margin": "0.1,0.04"}
NODE |= {"height": "0.3", "width": "0.6"}
EDGE = FONT | LINES | {"fontsize": f"{SMALL}", "fontcolor": QUIET, "arrowsize": "0.6"}
EXCHANGE = {"color": "#bc4c00", "style": "dashed", "weight": "0"}
"""An edge between columns; its colour is that of a drawing of volumes."""
CLUSTER = {"style": "filled,rounded", "color": "#c9ced4", "fillcolor": "#f6f8fa"}
HEAD = {"style": "filled,rounded,dashed", "color": "#b08800", "fillcolor": "#fffdf5"}
HEAD |= {"labelloc": "b"}  # the edge into a head comes from the side, over its upper corner
FORK = {"shape": "point", "width": "0.05", "height": "0.05", "ordering": "out"}
SIZE = {"shape": "plaintext", "style": "", "margin": "0", "height": "0.1", "width": "0.1"}
SIZE |= {"fontsize": f"{SMALL}", "fontcolor": QUIET}


class Drawing(BaseDrawing):
    """The drawing of a net's graph, with the sizes on its edges; a notebook shows it.

    Args:
        net: The net.
        direction: ``"down"``, or ``"right"`` for a landscape page.
    """

    forms = FORMS

    def __init__(self, net: Net, *, direction: str = "down") -> None:
        super().__init__(net)
        self.direction = choice("direction", direction, RANKDIR)

    @property
    def source(self) -> str:
        """The graph in the DOT language of Graphviz."""
        return str(digraph(self.net, self.direction).source)

    def rendered(self, form: str) -> bytes:
        """Return the drawing as the content of a file of a form.

        Raises:
            DataError: The program Graphviz is missing or fails, or the net is too large for it.
        """
        return rendered(self.net, form, self.direction)

    def __repr__(self) -> str:
        stages = len(self.net.graph) - len(self.net.graph.inputs)
        return f"<Drawing of {self.net.name}, {counted(stages, 'stage')}>"


def digraph(net: Net, direction: str = "down") -> graphviz.Digraph:
    """Return the graph of a net in the DOT language."""
    graph = GRAPH | {"rankdir": RANKDIR[direction]}
    look = {"graph_attr": graph, "node_attr": NODE, "edge_attr": EDGE}
    dot: graphviz.Digraph = graphviz.Digraph(net.name, **look)
    dot.attr(label=_title(net))
    _Painter(net).draw(dot)
    return dot


def rendered(net: Net, form: str, direction: str = "down") -> bytes:
    """Return the drawing of a net as a file of one of the :data:`FORMS`.

    Raises:
        DataError: The program Graphviz is missing or fails (``"dot"`` does not need it), or the
            drawing is too large for it, or for a PNG.
    """
    if form != "dot" and len(net.graph) > MOST:
        raise DataError(
            f"{net.name} is too large to be drawn: it has {len(net.graph):,} stages, and Graphviz "
            f"lays out at most {MOST:,} within seconds\n  write FILE.dot, the input of Graphviz"
        )
    dot = digraph(net, direction)
    if form == "dot":
        return str(dot.source).encode()
    if form == "png":
        dot.attr(dpi=DPI)
    try:
        image: bytes = dot.pipe(format=form, quiet=True)
    except graphviz.ExecutableNotFound:
        raise DataError(
            f"a drawing as {form} needs the program `dot` of Graphviz, which is not installed\n"
            "  Debian, Ubuntu: apt install graphviz\n"
            "  macOS:          brew install graphviz\n"
            "  or write FILE.dot, which does not need it"
        ) from None
    except graphviz.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        raise DataError(f"Graphviz cannot draw {net.name}: {reason or error}") from None
    except OSError as error:
        raise DataError(
            f"the program `dot` of Graphviz does not start: {reason_of(error)}"
        ) from None
    if form == "png" and max(_png_size(image)) >= LARGEST:  # Graphviz scaled it down to this
        raise DataError(f"{net.name} is too large for a drawing as png: draw it as svg")
    return image


def _png_size(image: bytes) -> tuple[int, int]:
    """Return width and height, from the header."""
    return int.from_bytes(image[16:20]), int.from_bytes(image[20:24])


def grouped(number: object) -> str:
    """Return a count with separated thousands, if it is a number: ``6,998,552``."""
    return f"{number:,}" if isinstance(number, int) else str(number)


def lane_ids(name: str, lanes: Lanes) -> list[str]:
    """Return the names of the nodes of an item, one for each of its lanes."""
    count = lanes.of(name)
    if count == 1:
        return [node_id(name)]
    # names of items do not have a %, which node_id replaces
    return [f"{node_id(name)}%column{lane + 1}" for lane in range(count)]


class _Painter:
    """Draws a net into a DOT graph: cluster by cluster, then the edges."""

    def __init__(self, net: Net) -> None:
        self.heads = net.graph.heads
        self.contents = Contents(net.graph)
        self.lanes = Lanes(net.graph, self.contents)
        self.items_of: dict[str, list[Cluster | Item]] = {"": []}
        for item in self.contents.items.values():
            self._items_of(item.cluster).append(item)

    def _items_of(self, name: str) -> list[Cluster | Item]:
        """Return the items of a cluster; a new one is added at the position of its first item."""
        if name not in self.items_of:
            cluster = self.contents.clusters[name]
            self._items_of(cluster.parent).append(cluster)
            self.items_of[name] = []
        return self.items_of[name]

    def draw(self, digraph: graphviz.Digraph) -> None:
        self._draw_cluster("", digraph)
        for edge in self.contents.edges:
            self._draw_edge(edge, digraph)

    def _draw_edge(self, edge: Edge, digraph: graphviz.Digraph) -> None:
        """Draw an edge, between several columns as one edge per pair of lanes that it connects."""
        look = {"weight": f"{edge.weight}"}
        if edge.size:
            tail = self.contents.items[edge.tail]
            assert isinstance(tail, Box)
            size = self.lanes.shape(tail.name, tail.shape)
            look["label"] = graphviz.escape(f"  {size}  ")
        if not edge.is_seen:
            look["style"] = "invis"
        elif isinstance(self.contents.items[edge.head], Fork | Size):
            look["arrowhead"] = "none"
        for way in self.lanes.ways(edge.tail, edge.head):
            ends = self._node(edge.tail, way.tail), self._node(edge.head, way.head)
            # an exchange does not change the places of lanes, and the edge in a lane has the size
            crossing = EXCHANGE | {"label": ""} if way.is_exchange else {}
            digraph.edge(*ends, **look | crossing)

    def _node(self, name: str, lane: int) -> str:
        """Return the name of the node of a lane of an item."""
        return lane_ids(name, self.lanes)[lane]

    def _draw_cluster(self, name: str, digraph: graphviz.Digraph) -> None:
        for item in self.items_of[name]:
            if isinstance(item, Cluster):
                with digraph.subgraph(name=f"cluster {item.name}") as inner:
                    look = HEAD if item.name in self.heads else CLUSTER
                    inner.attr(label=self._cluster_label(item), labeljust="l", margin="18", **look)
                    self._draw_cluster(item.name, inner)
            elif isinstance(item, End):
                label = stacked(bold(item.label), plain(str(item.shape)))
                digraph.node(node_id(item.name), label, fillcolor="#ffffff")
            else:
                number = self.lanes.of(item.name)
                for lane in range(number):
                    self._draw_lane(item, lane, digraph)
                if number > 1:  # columns stay in their order, also in a cluster
                    with digraph.subgraph(graph_attr={"rank": "same"}) as rank:
                        for lane in range(number - 1):
                            ends = self._node(item.name, lane), self._node(item.name, lane + 1)
                            rank.edge(*ends, style="invis")

    def _draw_lane(self, item: Box | Fork | Size, lane: int, digraph: graphviz.Digraph) -> None:
        """Draw the node of an item, or of what one column computes of it."""
        node = self._node(item.name, lane)
        if isinstance(item, Box):
            digraph.node(node, self._box_label(item, lane), fillcolor=FILLS[item.kind])
        elif isinstance(item, Size):
            shape = self.lanes.shape(item.name, item.shape)
            digraph.node(node, graphviz.escape(str(shape)), **SIZE)
        else:
            digraph.node(node, "", **FORK)

    def _box_label(self, box: Box, lane: int) -> str:
        first, *others = box.stages
        if box.kind == "input":
            return stacked(bold(first.name), plain(str(box.shape)))
        lines = [bold(box.label)] if box.label else []
        if self.lanes.of(box.name) > 1:
            lines.append(small(f"column {lane + 1}"))
        lines.append(plain(short_text(self.lanes.operator(box.name, first.op))))
        if others:
            lines.append(small(" | ".join(short_text(stage.op) for stage in others)))
        return stacked(*lines)

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
    is_split = column_count(net.graph) > 1
    return stacked(
        f'<FONT POINT-SIZE="{LARGE}">{bold(net.name)}</FONT>',
        *map(plain, textwrap.wrap(printable(net.title), NARROW)),
        f"{grouped(totals.parameters)} parameters{apart}",
        f"{grouped(totals.macs)} multiply-accumulates per image",
        *([small("columns exchange channels along dashed lines")] if is_split else []),
        "&#160;",
    )


def stacked(*lines: str) -> str:
    """Return an HTML-like label: a table, whose lines Graphviz centres better than bare ones."""
    rows = "".join(f"<TR><TD>{line}</TD></TR>" for line in lines)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def node_id(name: str) -> str:
    """Return the name of a node for Graphviz.

    Graphviz reads ``a:b`` as a port, ``<a>`` as HTML, and ``%a`` as a node without a name.
    """
    return re.sub("[~%:<>]", lambda match: f"~{ord(match[0]):02x}", name)


def bold(text: str) -> str:
    """Return a part of an HTML-like label in bold."""
    return f"<B>{plain(text)}</B>"


def small(text: str) -> str:
    """Return a part of an HTML-like label in small grey letters."""
    return f'<FONT POINT-SIZE="{SMALL}" COLOR="{QUIET}">{plain(text)}</FONT>'


def plain(text: str) -> str:
    """Escape a text for an HTML-like label, in which Graphviz also interprets backslashes."""
    return escape(text).replace("\\", "\\\\")
