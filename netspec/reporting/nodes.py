"""The data of an interactive graph: what each node of the drawing is, and the rows inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netspec.ir.rows import TableRow, find
from netspec.ir.symbols import show
from netspec.net import Net
from netspec.reporting.html import Html, data_block
from netspec.reporting.measuring import Measured, Step
from netspec.views.boxes import Box, Contents, End
from netspec.views.drawing import lane_ids, node_id
from netspec.views.lanes import Lanes
from netspec.views.operator_text import short_text
from netspec.views.table import COLUMNS, NUMBERS, cells_of


def data_of(net: Net, measured: Measured | None = None) -> Html:
    """Return the nodes and rows of a net as a block of data, which ``assets/report.js`` reads.

    ``rows`` has the cells of each row by label, and the labels of the rows inside it.  ``nodes``
    has, by the name of the node in the drawing, its row, the texts that a search finds, and the
    facts that are shown when the reader points at it.
    """
    graph, contents = net.graph, Contents(net.graph)
    lanes = Lanes(graph, contents)
    steps = measured.by_stage() if measured else {}
    rows: dict[str, Any] = {}
    for row in net.rows:
        _add(row, rows)
    nodes: dict[str, Any] = {}
    for item in contents.items.values():
        if isinstance(item, Box):
            stages = [find(graph, stage.name) for stage in item.stages]
            for stage in stages:
                rows.setdefault(stage.label, {"cells": _cells(stage), "inside": []})
            operators = " | ".join(short_text(stage.op) for stage in item.stages)
            node = {
                "title": item.row if item.label else item.name,
                "row": item.row,
                "text": operators,
                "rows": [stage.label for stage in stages],
                "facts": _facts(stages, [stage.name for stage in item.stages], steps),
            }
            nodes |= dict.fromkeys(lane_ids(item.name, lanes), node)
        elif isinstance(item, End):
            facts = [["shape", str(item.shape)]]
            node = {"title": item.label, "text": item.cluster, "rows": [], "facts": facts}
            nodes[node_id(item.name)] = node
    for cluster in contents.clusters.values():
        row = find(graph, cluster.name)
        nodes[f"cluster {cluster.name}"] = {
            "title": cluster.name,
            "text": " ".join(row.layers),
            "rows": [row.label],
            "facts": _facts([row], graph.rows[cluster.name].stages, steps),
        }
    return data_block(
        {"columns": COLUMNS, "numbers": NUMBERS, "rows": rows, "nodes": nodes}, "graph-data"
    )


def _add(row: TableRow, rows: dict[str, Any]) -> None:
    """Add a row, and the rows inside it."""
    rows[row.label] = {"cells": _cells(row), "inside": [inner.label for inner in row.rows]}
    for inner in row.rows:
        _add(inner, rows)


def _cells(row: TableRow) -> list[str]:
    return list(cells_of(row))


def _facts(
    rows: list[TableRow], stages: Iterable[str], steps: Mapping[str, Step]
) -> list[list[str]]:
    """Return what is shown of rows that are one after the other: the sizes, counts and times."""
    parameters, macs = sum(row.parameters for row in rows), sum(row.macs for row in rows)
    last = cells_of(rows[-1])
    facts = [
        ["kernel", "; ".join(row.kernel for row in rows if row.kernel)],
        ["input", cells_of(rows[0])[COLUMNS.index("input")]],
        ["shape", last[COLUMNS.index("output")]],
        ["parameters", show(parameters) if parameters else ""],
        ["MACs", show(macs) if macs else ""],
        ["field", last[COLUMNS.index("field")]],
    ]
    names = frozenset(stages)
    own = dict.fromkeys(steps[name] for name in names if name in steps)
    if own:
        shared = frozenset[str]().union(*(step.stages for step in own)) - names
        facts.append(["computed by", ", ".join(dict.fromkeys(sorted(step.kernel for step in own)))])
        time = f"{1e3 * sum(step.seconds for step in own):,.3f} ms"
        facts.append(
            ["time", f"{time}, shared with {', '.join(sorted(shared))}" if shared else time]
        )
    return [fact for fact in facts if fact[1]]
