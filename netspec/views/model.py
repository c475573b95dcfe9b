"""A model as text: the rows of its net, in place of PyTorch's list of all modules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from netspec.runtime.compiled import Compiled
from netspec.runtime.reference import Model
from netspec.views.summary import summary

COLUMNS = ("row", "operators", "output", "parameters")


def as_text(model: Compiled | Model) -> str:
    """Return the kind of model, and a line per row: label, operators, output and parameters."""
    net = model.net
    data = summary(net)
    heads = [row for row in data["rows"] if row["head"]]
    rows = [_cells(row) for row in data["rows"] if not row["head"] or model.training]
    rows.append(("total", "", "", f"{data['parameters']:,}"))
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    mode = "training" if model.training else "evaluation"
    lines = [f"{_kind(model)}, {mode} mode"]
    lines += [_line(cells, widths) for cells in (COLUMNS, *rows)]
    if heads and not model.training:
        names = ", ".join(dict.fromkeys(row["head"] for row in heads))
        count = data["with_heads"]["parameters"] - data["parameters"]
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


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    output = "x".join(map(str, row["output"]))
    return row["label"], _operators(row["ops"]), output, f"{row['parameters']:,}"


def _operators(names: Sequence[str]) -> str:
    """Return operators in order; those that follow each other with one name are counted."""
    runs = ((name, len([*group])) for name, group in groupby(names))
    return " | ".join(name if count == 1 else f"{count} {name}" for name, count in runs)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    *texts, number = cells
    *text_widths, last = widths
    padded = [f"{text:<{width}}" for text, width in zip(texts, text_widths, strict=True)]
    return "  " + "  ".join([*padded, f"{number:>{last}}"])
