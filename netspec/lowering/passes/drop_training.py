"""Drop what only training needs."""

from __future__ import annotations

from netspec.ir.graph import Entry, Graph
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.identity import Identity

RULE = "drop_training"
EQUATION = "dropout(x) => x, identity(x) => x, and auxiliary heads go"
REMARK = "what inference does without"
REFUSALS = {
    1: "dropout scales at test time, and so is part of inference",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; returns how many stages went."""
    before = len(graph)
    heads, graph.heads = graph.heads, {}
    for head in heads.values():
        graph.sweep([head.output])
        if head.output not in graph:
            graph.journal.append(Entry(RULE, (head.output,)))
    for stage in list(graph.stages()):
        if isinstance(stage.op, Dropout) and stage.op.factor != 1:
            graph.journal.append(Entry(RULE, (stage.name,), refusal=1))
        elif isinstance(stage.op, Dropout | Identity):
            (operand,) = graph.operands(stage.name)
            graph.bypass(stage.name, operand)
            graph.journal.append(Entry(RULE, (stage.name,), operand))
    return before - len(graph)
