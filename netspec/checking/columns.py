"""Check that the layers of a net can be divided evenly over its columns."""

from __future__ import annotations

from netspec.ir.graph import Graph
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.symbols import divides
from netspec.language.diagnostics import Note, Problems


def check_columns(graph: Graph, problems: Problems) -> None:
    """Report layers that cannot be divided evenly over the columns."""
    if graph.columns is None:
        return
    number = graph.columns.number
    note = Note(f"{number} columns on line {graph.columns.span.line}", graph.columns.span)
    for stage in graph.stages():
        op = stage.op
        if not isinstance(op, Conv | LocalResponseNorm):
            continue
        span = stage.spans.get("groups", stage.span)
        if op.groups != 1 and divides(number, op.groups) is False:
            message = f"{op.groups} groups cannot be divided over {number} columns"
            help = f"use groups={number}, or 1 for a layer that reads all columns"
            problems.add("NS210", message, span, help=help, notes=[note])
        elif isinstance(op, Conv) and divides(number, op.count) is False:
            message = f"{op.count} filters cannot be divided over {number} columns"
            help = f"use a multiple of {number}"
            span = stage.spans.get("count", stage.span)
            problems.add("NS210", message, span, help=help, notes=[note])
