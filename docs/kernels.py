"""Write the tables of docs/kernels.md: python docs/kernels.py [FAMILY ...].

Every shipped configuration is compiled for sm_80 and sm_90. This takes minutes and needs no GPU.
If families are named, only their tables are written again. The table of lower bounds is computed
from the specs and is always written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import triton

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.layers import BATCHES, FORWARD, NETS, LayerCase, layers, planned
from benchmarks.page import number
from benchmarks.page import table as markdown
from netspec.kernels.shipped import FAMILIES, rows

PAGE = Path(__file__).parent / "kernels.md"
SHORT = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
BOUNDS = "<!-- lower bounds -->"
COLUMNS = ("", "", "registers", "shared KiB", "warps resident", "products", "loads", "stores")


def table(family: str, resources: Iterable[dict[str, Any]]) -> str:
    """Return a family's table: sm_80 / sm_90 in each cell, types with equal cells on one line."""
    lines = [
        f"<!-- {family}, triton {triton.__version__} -->",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    cells: dict[tuple[str, ...], list[str]] = {}
    for (label, dtype), pair in groupby(resources, key=lambda row: (row["label"], row["dtype"])):
        cells.setdefault((label, *_cells(list(pair))), []).append(SHORT[dtype])
    for (label, *figures), dtypes in cells.items():
        lines.append(f"| {label} | {', '.join(dtypes)} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def _cells(pair: list[dict[str, Any]]) -> Iterator[str]:
    yield _both(str(row["registers"]) for row in pair)
    yield _both(f"{row['shared'] / 1024:.0f}" for row in pair)
    yield _both(f"{100 * row['occupancy']:.0f} %" for row in pair)
    yield _both(_product(row["products"]) for row in pair)
    for access in ("loads", "stores"):
        yield _both("{} of {}".format(*row[access]) for row in pair)


def _both(values: Iterable[str]) -> str:
    """Join the values of sm_80 and sm_90, or return the one value if they are equal."""
    return " / ".join(dict.fromkeys(values))


def _product(counts: dict[str, int]) -> str:
    return next((opcode for opcode, count in counts.items() if count), "none")


KINDS = ("conv", "lrn", "lrn_maxpool", "maxpool", "avgpool", "gap", "fc")


def bounds() -> str:
    """Return the table of lower bounds: all layers of a kind in a net, forward, in bf16."""
    lines = [BOUNDS]
    heads = ["net", "kind", "layers", "MB", "GFLOP", *(f"batch {n}, µs" for n in BATCHES)]
    lines += markdown(heads, (row for net in NETS for row in _bounds_of(net)))
    return "\n".join(lines).rstrip("\n")


def _bounds_of(net: str) -> Iterator[list[str]]:
    machine = planned("bf16")
    for kind in KINDS:
        counts = {layer: len(rows) for layer, rows in layers(net).items() if layer.kind == kind}
        if not counts:
            continue
        costs = [
            [(LayerCase(layer, batch, FORWARD, "bf16").cost, n) for layer, n in counts.items()]
            for batch in BATCHES
        ]
        yield [
            NETS[net],
            kind,
            str(sum(counts.values())),
            number(sum(cost.bytes * n for cost, n in costs[-1]) / 1e6),
            number(sum(cost.operations * n for cost, n in costs[-1]) / 1e9),
            *(number(sum(machine.floor(cost) * n for cost, n in one) * 1e6) for one in costs),
        ]


def replaced(page: str, marker: str, text: str) -> str:
    """Return the page with the table that starts at a marker replaced; it ends at an empty line."""
    start = page.index(marker)
    return page[:start] + text + page[page.find("\n\n", start) :]


if __name__ == "__main__":
    page = replaced(PAGE.read_text(), BOUNDS, bounds())
    for name in sys.argv[1:] or FAMILIES:
        page = replaced(page, f"<!-- {name}, ", table(name, rows(name)))
        PAGE.write_text(page)
