"""The contents of a drawing of a net: boxes, clusters around them, and edges.

A box is a stage with the small ones after it, such as ``relu``. A cluster is a row of several
boxes, or a head. An ``identity`` in a branch is drawn as an edge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from netspec.ir.columns import column_count, parts
from netspec.ir.graph import Graph, Input, Stage
from netspec.ir.operator import Operator, WindowOperator
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.identity import Identity
from netspec.ir.rows import nesting
from netspec.ir.shapes import Shape

KINDS = {"gap": "pool", "gmp": "pool", "adaptive_avgpool": "pool", "deconv": "conv", "fc": "fc"}
KINDS |= {"lrn": "norm", "lrn_within": "norm", "bn": "norm", "ln": "norm", "gn": "norm"}
KINDS |= {"fc_relu": "fc", "lrn_maxpool": "pool", "slice": "join"}
"""Kinds of operators whose class does not determine the kind."""

TO_HEAD, TO_JOIN, WITHIN, ACROSS, SPINE = 0, 1, 4, 10, 12
"""Weights of edges: heavier ones are drawn shorter and straighter."""


@dataclass(slots=True)
class Box:
    """A stage with the small ones after it.

    ``label`` is the label of its row if the box is a whole row.
    """

    stages: list[Stage]
    row: str
    cluster: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        return self.stages[0].name

    @property
    def kind(self) -> str:
        return kind(self.stages[0].op)

    @property
    def shape(self) -> Shape:
        return self.stages[-1].known_shape


class Fork(NamedTuple):
    """A point where an edge to several boxes of a cluster splits."""

    name: str
    cluster: str


class Size(NamedTuple):
    """The size of an operand of a join; an item, because a label of an edge is not in a cluster."""

    name: str
    cluster: str
    shape: Shape


class End(NamedTuple):
    """An output of the net or of a head."""

    name: str
    cluster: str
    label: str
    shape: Shape


Item = Box | Fork | Size | End


class Cluster(NamedTuple):
    """A row of several boxes, or a head; it may be inside another cluster."""

    name: str
    parent: str
    label: str
    words: tuple[str, ...]


class Edge(NamedTuple):
    """An edge from one item to another; ``size`` is empty if it does not change."""

    tail: str
    head: str
    size: str
    weight: int
    is_seen: bool = True
    """False if it is only for the layout: it keeps two items above each other."""


def kind(op: Operator) -> str:
    """Return the kind of an operator, which decides its colour."""
    if isinstance(op, Input):
        return "input"
    if op.takes == "many":
        return "join"
    if isinstance(op, Conv):
        return "conv"
    return "pool" if isinstance(op, WindowOperator) else KINDS.get(op.name, "other")


class Contents:
    """The boxes, clusters and edges of a drawing, in the order of the graph.

    Attributes:
        items: Boxes, forks, sizes and ends by name.
        clusters: Clusters by name, which is the label of their row.
        edges: Edges from item to item.
    """

    def __init__(self, graph: Graph) -> None:
        self.items: dict[str, Item] = {}
        self.clusters: dict[str, Cluster] = {}
        self.edges: list[Edge] = []
        self._graph = graph
        self._operands = _operands(graph)
        self._rows, self._parents = nesting(graph)
        self._box_of: dict[str, Box] = {}
        self._add_boxes()
        boxes = [item for item in self.items.values() if isinstance(item, Box)]
        self._add_clusters(boxes)
        for (tail, cluster), ways in self._ways(boxes).items():
            if cluster and len(ways) > 1:
                self._add_fork(tail, cluster, ways)
            else:
                self.edges += (edge for way in ways for edge in self._with_size(way))
        self._add_ends()

    def _add_boxes(self) -> None:
        uses = Counter(source for sources in self._operands.values() for source in sources)
        columns = parts(self._graph) if column_count(self._graph) > 1 else {}
        for name, sources in self._operands.items():
            stage = self._graph.stage(name)
            before = sources[0] if len(sources) == 1 else ""
            is_next = uses[before] == 1 and self._rows.get(before) == self._rows.get(name)
            if is_next and columns:  # what all columns compute is not in the box of one of them
                is_next = columns[before].makes == columns[name].makes
            if is_next and _is_small(stage, self._graph.stage(before)):
                self._box_of[name] = self._box_of[before]
                self._box_of[name].stages.append(stage)
            else:
                self._box_of[name] = self.items[name] = Box([stage], self._rows.get(name, ""))

    # ------------------------------------------------------------------------------------- clusters

    def _add_clusters(self, boxes: list[Box]) -> None:
        """Put clusters around rows of several boxes and around heads; label the other boxes."""
        boxes_of = Counter(row for box in boxes for row in self._rows_around(box.row))
        framed = {row for row, count in boxes_of.items() if count > 1 or row in self._graph.heads}

        def around(row: str) -> str:
            return next((label for label in self._rows_around(row) if label in framed), "")

        for label, row in self._graph.rows.items():
            if label in framed:
                parent = around(self._parents.get(label, ""))
                self.clusters[label] = Cluster(label, parent, _inside(label, parent), row.words)
        for box in boxes:
            box.cluster = around(box.row)
            box.label = "" if box.cluster == box.row else _inside(box.row, box.cluster)

    def _rows_around(self, row: str) -> Iterator[str]:
        """Yield a row and its parents."""
        while row:
            yield row
            row = self._parents.get(row, "")

    # ---------------------------------------------------------------------------------------- edges

    def _ways(self, boxes: list[Box]) -> dict[tuple[str, str], list[Edge]]:
        """Return the edges between boxes, by their tail and the cluster where they may split."""
        ways: defaultdict[tuple[str, str], list[Edge]] = defaultdict(list)
        for box in boxes:
            for source in self._operands[box.name]:
                tail = self._box_of[source]
                shapes = {self._box_of[name].shape for name in self._operands[tail.name]}
                is_kept = shapes == {tail.shape} and tail.row == box.row
                size = "" if is_kept or tail.kind == "input" else str(tail.shape)
                way = Edge(tail.name, box.name, size, self._weight(tail, box))
                ways[tail.name, self._entered(tail.cluster, box.cluster)].append(way)
        return ways

    def _entered(self, tail: str, head: str) -> str:
        """Return the first cluster that an edge enters, or the one that it stays in."""
        around = set(self._clusters_around(tail))
        entered = [cluster for cluster in self._clusters_around(head) if cluster not in around]
        return entered[-1] if entered else head

    def _clusters_around(self, cluster: str) -> Iterator[str]:
        """Yield a cluster and its parents."""
        while cluster:
            yield cluster
            cluster = self.clusters[cluster].parent

    def _weight(self, tail: Box, head: Box) -> int:
        if tail.cluster != head.cluster:
            return TO_HEAD if head.cluster in self._graph.heads else ACROSS
        if not tail.cluster:
            return ACROSS
        return TO_JOIN if head.kind == "join" else WITHIN

    def _add_fork(self, tail: str, cluster: str, ways: list[Edge]) -> None:
        """Draw edges into a cluster as one edge, which splits there above the last box."""
        fork = Fork(f"{cluster} from {tail}", cluster)
        self.items[fork.name] = fork
        weight = max(way.weight for way in ways)
        self.edges.append(Edge(tail, fork.name, ways[0].size, weight))
        parted = [Edge(fork.name, way.head, "", WITHIN) for way in ways]
        last = self._box_of[self._graph.rows[cluster].output].name
        is_entry = cluster not in self._clusters_around(self._box_of[tail].cluster)
        if is_entry and last not in {way.head for way in ways}:
            parted.insert(len(parted) // 2, Edge(fork.name, last, "", SPINE, is_seen=False))
        self.edges += parted

    def _with_size(self, way: Edge) -> list[Edge]:
        """Return the edge, or two edges: to a size, and from it into a join."""
        tail, head = self._box_of[way.tail], self._box_of[way.head]
        if not way.size or way.weight != TO_JOIN:
            return [way]
        size = Size(f"{head.name} from {tail.name}", tail.cluster, tail.shape)
        self.items[size.name] = size
        into = Edge(tail.name, size.name, "", WITHIN)
        return [into, Edge(size.name, head.name, "", TO_JOIN)]

    def _add_ends(self) -> None:
        ends = dict.fromkeys(self._graph.outputs, "")
        ends |= {head.output: head.name for head in self._graph.heads.values()}
        for name, head in ends.items():
            box = self._box_of[name]
            label = "output" if head or len(self._graph.outputs) == 1 else self._rows[name]
            end = End(f"{name} out", head, label, box.shape)
            self.items[end.name] = end
            self.edges.append(Edge(box.name, end.name, "", WITHIN if head else ACROSS))


def _is_small(stage: Stage, before: Stage) -> bool:
    """Return True if a stage is shown in the box of the stage before it."""
    is_kept = stage.known_shape.elements == before.known_shape.elements
    return is_kept and kind(stage.op) in ("norm", "other")


def _operands(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return the operands of each stage that is shown; identities in branches are skipped."""
    in_pipes = {name for row in graph.rows.values() for name in row.own_stages}
    shown: dict[str, tuple[str, ...]] = {}
    passed: dict[str, str] = {}
    for stage in graph.stages():
        sources = tuple(passed.get(name, name) for name in graph.operands(stage.name))
        if isinstance(stage.op, Identity) and stage.name not in in_pipes:
            passed[stage.name] = sources[0]
        else:
            shown[stage.name] = sources
    return shown


def _inside(label: str, parent: str) -> str:
    """Return a row's label without that of its parent."""
    return label.removeprefix(f"{parent}.")
