"""Fold the factor of a dropout that scales at test time into the weights of its readers.

f is a convolution, a local or a fully connected layer: f'(x) = (1 - rate) w x + b.  The bias is not
scaled.
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
REMARK = "the weights of f include the factor of a dropout that scales at test time"
REFUSALS = {
    1: "1 - rate is not a power of two: the scaled weights would be rounded",
    2: "a reader does not have weights to scale, or the net returns the value",
    3: "it reads an average pool, which could then change places with the convolution after it",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of removed dropouts."""
    count = 0
    # From the outputs to the inputs: of two dropouts in a row the second is folded first, and then
    # the layer reads the first.
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
    if frexp(factor)[0] != 0.5:  # not a power of two
        return 1
    readers = graph.consumers(name)
    has_weights = all(isinstance(graph.stage(r).op, Conv | FullyConnected) for r in readers)
    ends = {*graph.outputs, *(head.output for head in graph.heads.values())}
    if not has_weights or name in ends:
        return 2
    (operand,) = graph.operands(name)
    return 3 if isinstance(graph.stage(operand).op, AvgPool) else 0
