"""Remove the stages that only training needs."""

from __future__ import annotations

from netspec.ir.graph import Entry, Graph
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.identity import Identity

RULE = "drop_training"
EQUATION = "dropout(x) => x, identity(x) => x, and auxiliary heads are removed"
REMARK = "inference does not need them"
REFUSALS = {
    1: "the dropout scales at test time, so inference needs it",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of removed stages."""
    before = len(graph)
    # Heads first: a dropout inside a head then needs no entry of its own.
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
