"""The summary of a net as plain data: what ``netspec summary --json`` prints."""

from __future__ import annotations

from typing import Any

from netspec.ir.columns import exchanging
from netspec.ir.rows import TableRow, stage_rows
from netspec.net import Net


def summary(net: Net) -> dict[str, Any]:
    """Return every row and stage with its sizes and counts; the keys are an interface for scripts.

    Sizes are [height, width, channels] or [n]; with several inputs, ``input`` is a list of sizes.
    ``head`` is false or the name of the head; heads do not count in the totals.
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
        "rows": [row.as_json() for row in net.rows],
        "stages": [_stage(row) for row in stage_rows(graph)],
    }


def _stage(row: TableRow) -> dict[str, Any]:
    data = row.as_json()
    names = {"name": data.pop("label"), "op": data.pop("ops")[0], "kernel": data.pop("kernel")}
    return names | data
