"""The differences inside two rows: attributes, and the stages of branches and blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netspec.ir.graph import Row, Stage
from netspec.ir.operator import WindowOperator
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.values import Codes, Table
from netspec.net import Net

Changes = dict[str, Any]
"""Differences by name: the value in the first net and the value in the second."""


def differing(name: str, a: Any, b: Any) -> Changes:
    """Return a change, or none if the two are equal."""
    return {} if a == b else {name: [a, b]}


def within(row: Row, stage: str) -> str:
    """Return the name of a stage inside its row."""
    return stage.removeprefix(row.label).removeprefix(".")


def of_stages(a: Net, b: Net, row_a: Row, row_b: Row) -> Iterator[dict[str, Any]]:
    """Yield the stages of two rows that differ.

    If the pipes of the rows have different operators, the row reports that. Stages that both have
    are still compared.
    """
    left, right = _Inside(a, row_a), _Inside(b, row_b)
    is_same_pipe = left.ops == right.ops
    for key in dict.fromkeys([*left.stages, *right.stages]):
        x, y = left.stages.get(key), right.stages.get(key)
        changes: Changes = {}
        if x is not None and y is not None:
            is_same_op = x.op.name == y.op.name
            if is_same_op:
                changes = _of_operators(left, right, x, y)
            elif is_same_pipe:
                changes = {"op": [x.op.name, y.op.name]}
            if is_same_pipe:
                changes |= differing("from", left.reads(x), right.reads(y))
            if not changes:
                continue
        elif not is_same_pipe:
            continue
        yield {"a": x and x.name, "b": y and y.name, "changes": changes}


class _Inside:
    """A row's stages, by their names inside it."""

    def __init__(self, net: Net, row: Row) -> None:
        self.graph = net.graph
        self.row = row
        self.stages = {within(row, name): net.graph.stage(name) for name in row.stages}
        self.own = set(row.own_stages)
        self.ops = [net.graph.stage(name).op.name for name in row.own_stages]

    def reads(self, stage: Stage) -> list[str]:
        """Return the operands of a stage; those from outside are inputs, counted from 1."""
        inputs = {name: f"input {i}" for i, name in enumerate(self.row.inputs, 1)}
        operands = self.graph.operands(stage.name)
        return [inputs.get(name) or within(self.row, name) for name in operands]


def _of_operators(a: _Inside, b: _Inside, stage_a: Stage, stage_b: Stage) -> Changes:
    """Return the attributes that differ, without those that the kernel's text shows."""
    into = a.graph.shapes_into(stage_a.name), b.graph.shapes_into(stage_b.name)
    left, right = _attributes(stage_a, into[0]), _attributes(stage_b, into[1])
    kernels = [stage.op.kernel_text(i) for stage, i in zip((stage_a, stage_b), into, strict=True)]
    in_kernel = _in_kernel(stage_a, *kernels)
    names = [name for name in left if left[name] != right[name]]
    if not (_overhangs(stage_a, into[0]) or _overhangs(stage_b, into[1])):
        names = [name for name in names if name != "round"]
    changes: Changes = {}
    if not in_kernel.isdisjoint(names) and not (stage_a.name in a.own and stage_b.name in b.own):
        changes = differing("kernel", *kernels)  # the row reports those of its own pipe
    return changes | {n: [left[n], right[n]] for n in names if n not in in_kernel}


def _in_kernel(stage: Stage, a: str | None, b: str | None) -> set[str]:
    """Return the attributes that the kernels' texts show; equal texts show only the kernel."""
    if a is None or b is None:
        return set()
    positional = {attribute.name for attribute in stage.op.attributes() if attribute.is_positional}
    return {"kernel", "stride"} | (positional if a != b else set())


def _attributes(stage: Stage, inputs: tuple[Shape, ...]) -> dict[str, str]:
    """Return the attributes as a spec writes them, with padding in numbers."""
    op = stage.op
    values = {a.name: written(getattr(op, a.name)) for a in op.attributes()}
    if isinstance(op, WindowOperator):
        values["pad"] = written(tuple(n for w in op.windows(inputs) for n in (w.before, w.after)))
    return values


def _overhangs(stage: Stage, inputs: tuple[Shape, ...]) -> bool:
    """Return True if a window of the stage reaches over the edge because its size is rounded up."""
    op = stage.op
    return isinstance(op, WindowOperator) and any(w.overhang != 0 for w in op.windows(inputs))


def written(value: Any) -> str:
    """Return the value of an attribute as a spec writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Table | Codes):
        return _drawn(value)
    if isinstance(value, tuple) and not isinstance(value, Kernel):
        if len(set(value)) == 1:
            return str(value[0])
        return "x".join(map(str, value)) if len(value) == 2 else f"({', '.join(map(str, value))})"
    return str(value)


def _drawn(value: Table | Codes) -> str:
    """Return the lines of a table, or the size and the pictures of codes, as a spec draws them."""
    if isinstance(value, Table):
        return " ".join("".join("X" if is_read else "." for is_read in row) for row in value.rows)
    pictures = ("".join("X" if x > 0 else "." for x in picture) for picture in value.pictures)
    return " ".join([f"{value.height}x{value.width}", *pictures])
