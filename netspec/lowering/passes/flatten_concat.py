"""Replace a concatenation that another concatenation reads by its parts."""

from __future__ import annotations

from netspec.ir.graph import Entry, Graph
from netspec.ir.ops.concat import Concat

RULE = "flatten_concat"
EQUATION = "concat(concat(a, b), c) => concat(a, b, c)"
REMARK = "each part is written once"
REFUSALS = {
    1: "the inner concatenation has another reader or is an output",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of removed concatenations."""
    count = 0
    for stage in list(graph.stages()):
        if not isinstance(stage.op, Concat):
            continue
        operands: list[str] = []
        for operand in graph.operands(stage.name):
            if not isinstance(graph.stage(operand).op, Concat):
                operands.append(operand)
            elif not graph.is_read_by_one(operand):
                graph.journal.append(Entry(RULE, (operand, stage.name), refusal=1))
                operands.append(operand)
            else:
                graph.journal.append(Entry(RULE, (operand, stage.name), stage.name))
                operands += graph.operands(operand)
                count += 1
        if tuple(operands) != graph.operands(stage.name):
            graph.become(stage.name, stage.op, operands)
    return count
