"""Fuse an addition with a convolution that it reads."""

from __future__ import annotations

from netspec.ir.fused.conv_add import ConvAdd
from netspec.ir.graph import Entry, Graph
from netspec.ir.operator import attributes_as
from netspec.ir.ops.add import Add
from netspec.ir.ops.conv import Conv
from netspec.ir.parameter_names import packings

RULE = "fuse_add"
EQUATION = "conv(x) + z => conv_add(x, z)"
REMARK = "the result of the convolution is not written to memory"
REFUSALS = {
    1: "the addition does not have two different operands",
    2: "no operand of the addition is a convolution that only the addition reads",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of fused pairs."""
    count = 0
    for stage in list(graph.stages()):
        if not isinstance(stage.op, Add):
            continue
        operands = graph.operands(stage.name)
        convs = [
            name
            for name in operands
            if type(graph.stage(name).op) is Conv and graph.is_read_by_one(name)
        ]
        is_pair = len(operands) == len(set(operands)) == 2
        if not is_pair or not convs:
            refusal = 2 if is_pair else 1
            graph.journal.append(Entry(RULE, (*operands, stage.name), refusal=refusal))
            continue
        conv = convs[0]
        (other,) = (name for name in operands if name != conv)
        fused = attributes_as(ConvAdd, graph.stage(conv).op)
        (x,) = graph.operands(conv)
        graph.become(stage.name, fused, (x, other), packings(graph, conv))
        graph.journal.append(Entry(RULE, (conv, stage.name), stage.name))
        count += 1
    return count
