"""The exchanges between the columns of a net, as data and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netspec.errors import DataError
from netspec.ir.fused.exchanges import Exchange
from netspec.ir.graph import Graph
from netspec.ir.symbols import by
from netspec.lowering.passes import exchange
from netspec.net import Net
from netspec.printing import Printed
from netspec.views.columns import aligned

BYTES = 4
"""The size of a float32."""

OUTPUT = "output"
"""Name of the reader of a value that no stage reads."""


@dataclass(frozen=True, repr=False)
class Exchanges(Printed):
    """What the columns of a net exchange.

    Attributes:
        net: The net.
        results: Sizes and bytes; docs/json.md has the keys.
    """

    net: Net
    results: dict[str, Any]


def exchanges(net: Net) -> Exchanges:
    """Return the size and work of each column, and the bytes of each exchange for one image.

    Bytes are of float32, between all columns together: ``forward`` of values, ``backward`` of their
    gradients. ``gradients`` are for comparison: the bytes that cross per step, whatever the batch,
    if each of as many ranks has the whole net and a part of the batch (reduce-scatter and gather).

    Raises:
        SpecError: The net has symbols.
        DataError: The net does not have columns.
    """
    net.require_numbers()
    if net.graph.columns is None or net.graph.columns.number == 1:
        raise DataError(
            f"{net.name} does not have columns: write `columns 2` into its spec to spread it"
        )
    number, graph = net.graph.columns.number, net.graph.copy()
    exchange.rewrite(graph)
    places = [
        _entry(graph, stage.name, stage.op, _rows(net))
        for stage in graph.stages()
        if isinstance(stage.op, Exchange)
    ]
    totals = graph.totals(stage.name for stage in graph.stages())
    results = {
        "columns": number,
        "parameters": totals.parameters,
        "macs": totals.macs,
        "places": places,
        "forward": sum(entry["forward"] for entry in places),
        "backward": sum(entry["backward"] for entry in places),
        "gradients": 2 * (number - 1) * BYTES * net.totals_with_heads.parameters,
    }
    return Exchanges(net, results)


def as_json(exchanges: Exchanges) -> dict[str, Any]:
    """Return sizes and bytes as plain data."""
    return exchanges.results


def as_text(exchanges: Exchanges) -> str:
    """Return sizes and bytes as a table."""
    return "\n".join(_lines(exchanges.net, exchanges.results))


def _lines(net: Net, data: dict[str, Any]) -> Iterator[str]:
    number, places = data["columns"], data["places"]
    yield (
        f"{net.name} on {number} devices: each has {data['parameters']:,} parameters, "
        f"and computes {data['macs']:,} MACs per image"
    )
    yield ""
    if not places:
        yield "Nothing crosses between them."
        return
    forward, backward, gradients = data["forward"], data["backward"], data["gradients"]
    rows = [("value of", "size", "read by", "bytes forward", "bytes backward")]
    for entry in places:
        sizes = f"{entry['forward']:>13,}", f"{entry['backward']:>14,}"
        rows.append((entry["from"], by(entry["value"]), ", ".join(entry["read_by"]), *sizes))
    yield from aligned([*rows, ("together", "", "", f"{forward:>13,}", f"{backward:>14,}")])
    yield ""
    yield "Bytes are of float32, for one image, between all devices together.  If each device had"
    yield f"the whole net and a part of the batch, they would exchange {gradients:,} bytes of"
    images = gradients // (forward + backward)
    yield f"gradients per step: as many as columns do with {images:,} images."


def _rows(net: Net) -> dict[str, str]:
    """Return the label of the row of each stage of the spec."""
    rows = [row for row in net.graph.rows.values() if not row.is_inner]
    return {name: row.label for row in rows for name in row.stages}


def _entry(graph: Graph, name: str, op: Exchange, rows: dict[str, str]) -> dict[str, Any]:
    source = name
    while source not in rows:
        (source,) = graph.operands(source)
    shape = graph.stage(name).known_shape
    there, back = op.crossing(shape)
    return {
        "stage": name,
        "from": rows[source],
        "read_by": list(dict.fromkeys(_readers(graph, name, rows))) or [OUTPUT],
        "value": list(shape),
        "forward": BYTES * there,
        "backward": BYTES * back,
    }


def _readers(graph: Graph, name: str, rows: dict[str, str]) -> Iterator[str]:
    """Yield the rows that read a stage that the spec does not have."""
    for reader in graph.consumers(name):
        if reader in rows:
            yield rows[reader]
        else:
            yield from _readers(graph, reader, rows)
