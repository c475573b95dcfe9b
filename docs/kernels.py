"""Write the figures of docs/kernels.md: python docs/kernels.py [FAMILY ...].

Every configuration that is shipped is compiled for sm_80 and sm_90, which takes minutes and no GPU.
With families named, only their tables are written again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import triton

from netspec.kernels.shipped import FAMILIES, rows

PAGE = Path(__file__).parent / "kernels.md"
SHORT = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
COLUMNS = ("", "", "registers", "shared KiB", "warps resident", "products", "loads", "stores")


def table(family: str, resources: Iterable[dict[str, Any]]) -> str:
    """Return a family's table, sm_80 / sm_90 in each cell; types with equal cells share a line."""
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
    """Return the values of sm_80 and sm_90, once if they are equal."""
    return " / ".join(dict.fromkeys(values))


def _product(counts: dict[str, int]) -> str:
    return next((opcode for opcode, count in counts.items() if count), "none")


if __name__ == "__main__":
    page = PAGE.read_text()
    for name in sys.argv[1:] or FAMILIES:
        start = page.index(f"<!-- {name}, ")
        end = page.find("\n\n", start)
        page = page[:start] + table(name, rows(name)) + page[end:]
        PAGE.write_text(page)
