"""Columns: a net spread over several devices, as AlexNet is over two (its section 3.2).

Grouped layers stay on their device; a layer that sees all channels reads what the others hold.
"""

from __future__ import annotations

from netspec.graph import Graph, Stage
from netspec.language.diagnostics import Note, Problems
from netspec.ops.conv import Conv
from netspec.ops.fc import FullyConnected
from netspec.ops.lrn import LocalResponseNorm
from netspec.ops.rbf import RadialBasis
from netspec.symbols import divides


def check_columns(graph: Graph, problems: Problems) -> None:
    """Report layers that cannot be spread evenly over the columns."""
    if graph.columns is None:
        return
    number = graph.columns.number
    said = Note(f"{number} columns on line {graph.columns.span.line}", graph.columns.span)
    for stage in graph.stages():
        op = stage.op
        if not isinstance(op, Conv | LocalResponseNorm):
            continue
        place = stage.spans.get("groups", stage.span)
        if op.groups != 1 and divides(number, op.groups) is False:
            message = f"{op.groups} groups do not spread over {number} columns"
            help = f"use groups={number}, or 1 for a layer that sees every column"
            problems.add("NS210", message, place, help=help, notes=[said])
        elif isinstance(op, Conv) and divides(number, op.count) is False:
            message = f"{op.count} filters do not spread over {number} columns"
            help = f"use a multiple of {number}"
            place = stage.spans.get("count", stage.span)
            problems.add("NS210", message, place, help=help, notes=[said])


def exchanging(graph: Graph) -> list[str]:
    """The rows where columns read each other: layers that see all channels of a split map."""
    if graph.columns is None or graph.columns.number == 1:
        return []
    rows = {name: row.label for row in graph.rows.values() for name in row.stages}
    found = [
        rows[stage.name]
        for stage in graph.stages()
        if _sees_all(stage) and not set(graph.operands(stage.name)) <= set(graph.inputs)
    ]
    return list(dict.fromkeys(found))


def _sees_all(stage: Stage) -> bool:
    op = stage.op
    if isinstance(op, Conv | LocalResponseNorm):
        return op.groups == 1
    return isinstance(op, FullyConnected | RadialBasis)
