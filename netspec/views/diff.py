"""The differences of two nets, as plain data.

Nets are compared by their meaning: blocks are expanded, and padding and rounding are compared by
their effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from netspec.net import Net, Spec, net_of
from netspec.printing import plain_data, printer
from netspec.views.alignment import AlignedRow, align
from netspec.views.diff_spec import of_specs
from netspec.views.diff_stages import Changes, differing, of_stages, within
from netspec.views.summary import summary

COMPARED = ("ops", "input", "kernel", "output", "parameters", "macs")
COUNTS = ("parameters", "macs")


class Pair(NamedTuple):
    """A row of one net and the matching row of the other.

    A row is as in ``netspec summary --json``; ``words`` are the layers that it names.
    """

    a: dict[str, Any] | None
    b: dict[str, Any] | None
    changes: Changes

    @property
    def is_alike(self) -> bool:
        """Return True if both nets have the row; its labels may differ."""
        return self.a is not None and self.b is not None and not self.changes

    @property
    def labels(self) -> list[str | None]:
        """Labels in both nets; None where a net does not have the row."""
        return [None if row is None else row["label"] for row in (self.a, self.b)]


class Diff(NamedTuple):
    """The differences of two nets; ``repr`` is what ``netspec diff`` prints.

    Attributes:
        a: The first net.
        b: The second net.
        changes: Differences of the nets as a whole.
        rows: The rows of both nets in order, in pairs, each with its differences.
        totals: Parameters and MACs of both nets.
    """

    a: Net
    b: Net
    changes: Changes
    rows: list[Pair]
    totals: dict[str, Any]

    @property
    def is_empty(self) -> bool:
        """Return True if only the names of the nets differ; labels of rows are compared."""
        alike = all(pair.is_alike and len(set(pair.labels)) == 1 for pair in self.rows)
        return alike and not self.changes

    def as_json(self) -> dict[str, Any]:
        """Return what ``netspec diff --json`` prints; the keys are an interface for scripts."""
        rows = [{"a": p.labels[0], "b": p.labels[1], "changes": p.changes} for p in self.rows]
        data: dict[str, Any] = plain_data(
            {
                "a": self.a.name,
                "b": self.b.name,
                "changes": self.changes,
                "rows": rows,
                "totals": self.totals,
            }
        )
        return data

    def __repr__(self) -> str:
        return str(printer("Diff").as_text(self))


def diff(a: Spec, b: Spec, /) -> Diff:
    """Compare two nets, row by row.

    Args:
        a: Path, name of a bundled spec, or net; load a net to set its parameters.
        b: The same for the second net.

    Raises:
        SpecError: A spec has mistakes.
        TypeError: An argument has a wrong type.

    Example:
        >>> netspec.diff("vgg16_1", netspec.load("vgg16_3", classes=10))
    """
    a, b = net_of(a), net_of(b)
    side_a, side_b = _Side(a), _Side(b)
    aligned = list(align(side_a.aligned_rows, side_b.aligned_rows))
    inputs = zip(a.graph.inputs, b.graph.inputs, strict=False)
    partners = {_Source(x, is_input=True): _Source(y, is_input=True) for x, y in inputs}
    for i, j in aligned:
        if i is not None and j is not None:
            partners[_Source(side_a.rows[i].label)] = _Source(side_b.rows[j].label)
    rows = []
    for i, j in aligned:
        left = None if i is None else side_a.row_data[i]
        right = None if j is None else side_b.row_data[j]
        changes = {} if i is None or j is None else _of_rows(side_a, side_b, i, j, partners)
        rows.append(Pair(left, right, changes))
    outputs = _of_sources("outputs", side_a.reads(None), side_b.reads(None), partners)
    inputs_changes: Changes = {}
    if list(side_a.inputs.items()) != list(side_b.inputs.items()):
        inputs_changes = {"inputs": [side_a.inputs, side_b.inputs]}
    matched = [
        (side_a.rows[i], side_b.rows[j]) for i, j in aligned if i is not None and j is not None
    ]
    changes = inputs_changes | outputs | of_specs(a, b, matched)
    return Diff(a, b, changes, rows, _totals(a, b))


def _totals(a: Net, b: Net) -> dict[str, Any]:
    without = {name: [getattr(net.totals, name) for net in (a, b)] for name in COUNTS}
    heads = {name: [getattr(net.totals_with_heads, name) for net in (a, b)] for name in COUNTS}
    return without | {"with_heads": heads}


class _Source(NamedTuple):
    """A source of a row: the end of another row, a stage inside it, or an input of the net."""

    label: str
    inside: str = ""
    is_input: bool = False

    def __str__(self) -> str:
        return f"{self.label}.{self.inside}" if self.inside else self.label


class _Reads(NamedTuple):
    """The sources of a row; ``is_before`` is True if the row before it is the only one."""

    sources: list[_Source]
    is_before: bool


class _Side:
    """One of the two nets."""

    def __init__(self, net: Net) -> None:
        self.net = net
        net_data = summary(net)
        self.inputs = net_data["inputs"]
        self.rows = [row for row in net.graph.rows.values() if not row.is_inner]
        self.row_data = [
            data | {"words": list(row.words)}
            for row, data in zip(self.rows, net_data["rows"], strict=True)
        ]
        self.aligned_rows = [
            AlignedRow(row.label, " ".join(["head"] * bool(row.head) + data["ops"][:1]))
            for row, data in zip(self.rows, net_data["rows"], strict=True)
        ]
        self.owner = {name: row for row in self.rows for name in row.stages}
        before = [_Source(name, is_input=True) for name in net.graph.inputs]
        self.before = []
        for row in self.rows:
            self.before.append(before)
            before = before if row.head else [_Source(row.label)]
        self.end = before

    def reads(self, position: int | None) -> _Reads:
        """Return the sources of a row, or for None the outputs of the net."""
        names: Sequence[str]
        if position is None:
            names, before = self.net.graph.outputs, self.end
        else:
            names, before = self.rows[position].inputs, self.before[position]
        sources = [self._source(name) for name in names]
        return _Reads(sources, sources == before)

    def _source(self, name: str) -> _Source:
        row = self.owner.get(name)
        if row is None:
            return _Source(name, is_input=True)
        return _Source(row.label, "" if name == row.output else within(row, name))


def _of_rows(a: _Side, b: _Side, i: int, j: int, partners: dict[_Source, _Source]) -> Changes:
    row_a, row_b = a.rows[i], b.rows[j]
    changes: Changes = {}
    for name in COMPARED:
        changes |= differing(name, a.row_data[i][name], b.row_data[j][name])
    changes |= _of_sources("from", a.reads(i), b.reads(j), partners)
    if bool(row_a.head) != bool(row_b.head):
        changes["head"] = [row_a.head or False, row_b.head or False]
    elif row_a.head:
        weights = (a.net.graph.heads[row_a.head].weight, b.net.graph.heads[row_b.head].weight)
        changes |= differing("weight", *weights)
    stages = list(of_stages(a.net, b.net, row_a, row_b))
    return changes | ({"stages": stages} if stages else {})


def _of_sources(name: str, a: _Reads, b: _Reads, partners: dict[_Source, _Source]) -> Changes:
    """Return the sources of two rows, unless they match each other."""
    if a.is_before and b.is_before:
        return {}
    moved = []
    for source in a.sources:
        partner = partners.get(source._replace(inside=""))
        moved.append(partner and partner._replace(inside=source.inside))
    if moved == b.sources:
        return {}
    return {name: [[str(source) for source in reads.sources] for reads in (a, b)]}
