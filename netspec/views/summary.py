"""The summary of a net as plain data: what ``netspec summary --json`` prints."""

from __future__ import annotations

from typing import Any

from netspec.ir.columns import exchanging
from netspec.ir.graph import Graph, Row, Stage, Totals
from netspec.ir.shapes import Field, Shape
from netspec.net import Net


def summary(net: Net) -> dict[str, Any]:
    """Return every row and stage with its sizes and counts; the keys are an interface for scripts.

    Sizes are [height, width, channels] or [n]; with several inputs, ``input`` is a list of sizes.
    ``head`` is false or the head's name; heads do not count in the totals.
    """
    graph, totals, with_heads = net.graph, net.totals, net.totals_with_heads
    return {
        "name": net.name,
        "title": net.title,
        "inputs": {name: list(graph.stage(name).known_shape) for name in graph.inputs},
        "parameters": totals.parameters,
        "buffers": totals.buffers,
        "macs": totals.macs,
        "neurons": totals.neurons,
        "with_heads": {"parameters": with_heads.parameters, "macs": with_heads.macs},
        "columns": graph.columns.number if graph.columns else 1,
        "exchange": exchanging(graph),
        "rows": [_row(row, graph) for row in graph.rows.values() if not row.is_inner],
        "stages": [_stage(stage, graph) for stage in graph.stages() if graph.operands(stage.name)],
    }


def _row(row: Row, graph: Graph) -> dict[str, Any]:
    kernels = [graph.stage(n).op.kernel_text(graph.shapes_into(n)) for n in row.own_stages]
    return {
        "label": row.label,
        "ops": [graph.stage(name).op.name for name in row.own_stages],
        "input": _sizes(tuple(graph.stage(name).known_shape for name in row.inputs)),
        "kernel": "; ".join(k for k in kernels if k) or None,
        "output": list(graph.stage(row.output).known_shape),
        **_counts(graph.totals(row.stages)),
        "field": _field(graph.stage(row.output).field),
        "head": row.head or False,
    }


def _stage(stage: Stage, graph: Graph) -> dict[str, Any]:
    inputs = graph.shapes_into(stage.name)
    return {
        "name": stage.name,
        "op": stage.op.name,
        "kernel": stage.op.kernel_text(inputs),
        "input": _sizes(inputs),
        "output": list(stage.known_shape),
        **_counts(graph.totals([stage.name])),
        "field": _field(stage.field),
        "head": stage.head or False,
    }


def _sizes(shapes: tuple[Shape, ...]) -> list[Any]:
    return list(shapes[0]) if len(shapes) == 1 else [list(shape) for shape in shapes]


def _counts(totals: Totals) -> dict[str, int]:
    return {
        "parameters": totals.parameters,
        "buffers": totals.buffers,
        "macs": totals.macs,
    }


def _field(field: Field | None) -> dict[str, list[int]]:
    assert field is not None
    return {"size": list(field.size), "start": list(field.start), "stride": list(field.stride)}
