"""A model as text: the rows of its net, in place of PyTorch's list of all modules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from netspec.ir.symbols import by
from netspec.runtime.compiled import Compiled
from netspec.runtime.reference import Model

COLUMNS = ("row", "layers", "output", "parameters")


def as_text(model: Compiled | Model) -> str:
    """Return the kind of model, and a line per row: label, layers, output and parameters."""
    net = model.net
    heads = [row for row in net.rows if row.head]
    shown = [row for row in net.rows if not row.head or model.training]
    rows = [
        (row.label, _layers(row.layers), by(row.output), f"{row.parameters:,}") for row in shown
    ]
    rows.append(("total", "", "", f"{net.totals.parameters:,}"))
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    mode = "training" if model.training else "evaluation"
    lines = [f"{_kind(model)}, {mode} mode"]
    lines += [_line(cells, widths) for cells in (COLUMNS, *rows)]
    if heads and not model.training:
        names = ", ".join(dict.fromkeys(row.head for row in heads))
        count = net.totals_with_heads.parameters - net.totals.parameters
        lines.append(f"  and {count:,} parameters of heads, used in training: {names}")
    return "\n".join(lines)


def _kind(model: Compiled | Model) -> str:
    # a compiled net is not asked for its parameters, which would make a second copy of them
    if isinstance(model, Compiled):
        dtype, device = model.lowered.dtype, model.device
        return f"Compiled {model.net.name}: {str(dtype).removeprefix('torch.')} on {device}"
    first = next(model.parameters(), None)
    about = "" if first is None else f"{str(first.dtype).removeprefix('torch.')} on {first.device}"
    return f"Model {model.net.name}: {about or 'without parameters'}"


def _layers(names: Sequence[str]) -> str:
    """Return operators and blocks in order; equal ones that follow each other are counted."""
    runs = ((name, len([*group])) for name, group in groupby(names))
    return " | ".join(name if count == 1 else f"{count} {name}" for name, count in runs)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *texts, number = cells
    *text_widths, last = widths
    padded = [f"{text:<{width}}" for text, width in zip(texts, text_widths, strict=True)]
    return "  " + "  ".join([*padded, f"{number:>{last}}"])
