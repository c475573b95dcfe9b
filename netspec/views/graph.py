"""A graph as passes leave it: a table of its stages, or a picture of them in the DOT language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import graphviz

from netspec.ir.graph import Graph, Input, Stage
from netspec.ir.operator import Operator, WindowOperator
from netspec.ir.shapes import Kernel
from netspec.ir.symbols import by
from netspec.ir.values import Codes, Table
from netspec.ir.words import plural
from netspec.views.boxes import kind
from netspec.views.columns import aligned
from netspec.views.drawing import EDGE, FILLS, GRAPH, NODE, bold, plain, small, stacked

COLUMNS = ("stage", "operator", "reads", "output")


def as_text(graph: Graph) -> str:
    """A line a stage: its name, its operator, the stages it reads, and the size of its output."""
    body = [
        (stage.name, _operator(stage), _reads(graph, stage), str(stage.known_shape))
        for stage in graph.stages()
    ]
    lines = [*aligned([COLUMNS, *body]), "", f"output: {', '.join(graph.outputs)}"]
    for head in graph.heads.values():
        lines.append(f"head {head.name}: {head.output}, weight {head.weight:g}")
    return "\n".join(lines)


def after_pass(rule: str, rewrites: int, graph: Graph) -> str:
    """The graph as a pass left it, under a line that says how much the pass did."""
    often = f"{rewrites} {plural('rewrite', rewrites)}"
    return f"after {rule}: {often}, {len(graph)} stages\n\n{as_text(graph)}"


def as_dot(graph: Graph, name: str) -> str:
    """The DOT text of a picture with a box a stage, for the program Graphviz.

    Args:
        graph: a shaped graph, from passes or from a spec.
        name: what the picture is called.
    """
    look = {"graph_attr": GRAPH, "node_attr": NODE, "edge_attr": EDGE}
    made = graphviz.Digraph(name, **look)
    ends = dict.fromkeys(graph.outputs, "output")
    ends |= {head.output: f"head {head.name}" for head in graph.heads.values()}
    for stage in graph.stages():
        lines = [bold(stage.name), plain(_operator(stage)), small(str(stage.known_shape))]
        border = {"penwidth": "2"} if stage.name in ends else {}
        if stage.name in ends:
            lines.append(small(ends[stage.name]))
        made.node(stage.name, stacked(*lines), fillcolor=FILLS[kind(stage.op)], **border)
        for operand in graph.operands(stage.name):
            made.edge(operand, stage.name)
    return str(made.source)


def operator_text(op: Operator, written: Mapping[str, Any] | None = None) -> str:
    """Return an operator with every attribute that is not its default.

    That is how the spec wrote it if ``written`` has its attributes, and else how a spec would.  An
    operator that only passes make has attributes that no spec can give, and operators in it.
    """
    if isinstance(op, Input):
        return op.name
    declared = {attribute.name: attribute for attribute in op.attributes()}
    values = {name: one.default for name, one in declared.items()}
    values |= written or _written(op)
    told = [_shown(values[name]) for name, one in declared.items() if one.is_positional]
    for name, one in declared.items():
        value = values[name]
        if not one.is_positional and value != one.default:
            told.append(f"{name}={_shown(value)}")
    own = {f.name: getattr(op, f.name) for f in fields(op) if f.name not in declared}  # type: ignore[arg-type]
    told += [f"{n}={value}" for n, value in own.items() if not isinstance(value, Operator)]
    parts = " | ".join(operator_text(part) for part in own.values() if isinstance(part, Operator))
    return f"{op.name} {f'({parts})' if parts else ', '.join(told)}".strip()


def _written(op: Operator) -> dict[str, Any]:
    """The attributes of an operator as a spec would write them; the kernel has the stride."""
    values = {attribute.name: getattr(op, attribute.name) for attribute in op.attributes()}
    if isinstance(op, WindowOperator):
        down, right = op.stride
        in_kernel = down if down == right != 1 else None
        values["kernel"] = Kernel(*op.kernel, stride=in_kernel)
        values["stride"] = (1, 1) if in_kernel else op.stride
    elif "kernel" in values:
        values["kernel"] = Kernel(*values["kernel"])
    return values


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Table | Codes):
        return value.name
    if isinstance(value, tuple) and not isinstance(value, Kernel):
        return _sides(value)
    return str(value)


def _sides(value: tuple[int, ...]) -> str:
    """Height and width, or four sides, as short as a spec may write them."""
    if len(set(value)) == 1:
        return str(value[0])
    pair = value[:: len(value) // 2]
    is_pair = len(value) == 2 or value == (pair[0], pair[0], pair[1], pair[1])
    return by(pair) if is_pair else f"({', '.join(map(str, value))})"


def _operator(stage: Stage) -> str:
    return operator_text(stage.op, stage.written)


def _reads(graph: Graph, stage: Stage) -> str:
    return ", ".join(graph.operands(stage.name))
