"""A graph after passes, as a table of its stages or as a drawing in the DOT language."""

from __future__ import annotations

import graphviz

from netspec.ir.graph import Graph, Stage
from netspec.ir.words import plural
from netspec.views.boxes import kind
from netspec.views.columns import aligned
from netspec.views.drawing import EDGE, FILLS, GRAPH, NODE, bold, node_id, plain, small, stacked
from netspec.views.operator_text import operator_text

COLUMNS = ("stage", "operator", "reads", "output")


def as_text(graph: Graph) -> str:
    """Return one line per stage: its name, operator, operands, and the size of its output."""
    body = [
        (stage.name, _operator(stage), _reads(graph, stage), str(stage.known_shape))
        for stage in graph.stages()
    ]
    lines = [*aligned([COLUMNS, *body]), "", f"output: {', '.join(graph.outputs)}"]
    for head in graph.heads.values():
        lines.append(f"head {head.name}: {head.output}, weight {head.weight:g}")
    return "\n".join(lines)


def after_pass(rule: str, rewrites: int, graph: Graph) -> str:
    """Return the graph after a pass, under a line with the number of rewrites."""
    often = f"{rewrites} {plural('rewrite', rewrites)}"
    return f"after {rule}: {often}, {len(graph)} stages\n\n{as_text(graph)}"


def as_dot(graph: Graph, name: str) -> str:
    """Return a drawing with one box per stage in the DOT language, for the program Graphviz.

    Args:
        graph: A graph with shapes, from passes or from a spec.
        name: Name of the drawing.
    """
    look = {"graph_attr": GRAPH, "node_attr": NODE, "edge_attr": EDGE}
    digraph = graphviz.Digraph(name, **look)
    ends = dict.fromkeys(graph.outputs, "output")
    ends |= {head.output: f"head {head.name}" for head in graph.heads.values()}
    for stage in graph.stages():
        lines = [bold(stage.name), plain(_operator(stage)), small(str(stage.known_shape))]
        border = {"penwidth": "2"} if stage.name in ends else {}
        if stage.name in ends:
            lines.append(small(ends[stage.name]))
        own = node_id(stage.name)
        digraph.node(own, stacked(*lines), fillcolor=FILLS[kind(stage.op)], **border)
        for operand in graph.operands(stage.name):
            digraph.edge(node_id(operand), own)
    return str(digraph.source)


def _operator(stage: Stage) -> str:
    return operator_text(stage.op, stage.written)


def _reads(graph: Graph, stage: Stage) -> str:
    return ", ".join(graph.operands(stage.name))
