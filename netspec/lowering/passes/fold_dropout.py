"""Fold the factor of a dropout that scales at test time into the weights after it.

f is a convolution, a local or a fully connected layer: f'(x) = (1 - rate) w x + b.
"""

from __future__ import annotations

from math import frexp

from netspec.ir.graph import Entry, Graph
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.packing import Scaled
from netspec.ir.parameter_names import packings

RULE = "fold_dropout"
EQUATION = "f(dropout(x)) => f'(x)"
REMARK = "the weights of f take the factor of a dropout that scales at test time"
REFUSALS = {
    1: "1 - rate is no power of two: products would be rounded",
    2: "something that reads it has no weights to take the factor, or the net returns it",
    3: "an average pool stands before it, whose place is decided by the convolution behind it",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; returns how many dropouts went."""
    count = 0
    for stage in reversed(list(graph.stages())):
        op = stage.op
        if not isinstance(op, Dropout) or op.factor == 1:
            continue
        readers = graph.consumers(stage.name)
        refusal = _refusal(graph, stage.name, op.factor)
        if refusal:
            graph.journal.append(Entry(RULE, (stage.name, *readers), refusal=refusal))
            continue
        operands = graph.operands(stage.name)
        for reader in readers:
            packed = packings(graph, reader)
            packed["weight"] = Scaled(packed["weight"], op.factor)
            graph.become(reader, graph.stage(reader).op, operands, packed)
            graph.journal.append(Entry(RULE, (stage.name, reader), reader))
        count += 1
    return count


def _refusal(graph: Graph, name: str, factor: float) -> int:
    if frexp(factor)[0] != 0.5:
        return 1
    readers = graph.consumers(name)
    has_weights = all(isinstance(graph.stage(r).op, Conv | FullyConnected) for r in readers)
    ends = {*graph.outputs, *(head.output for head in graph.heads.values())}
    if not has_weights or name in ends:
        return 2
    (operand,) = graph.operands(name)
    return 3 if isinstance(graph.stage(operand).op, AvgPool) else 0
