"""Fuse an activation other than ReLU with the convolution that it reads."""

from __future__ import annotations

from netspec.ir.fused.conv_activation import ACTIVATIONS, ConvActivation
from netspec.ir.graph import Entry, Graph
from netspec.ir.operator import attributes_as
from netspec.ir.ops.conv import Conv
from netspec.ir.parameter_names import packings

RULE = "fuse_activation"
EQUATION = "act(conv(x)) => conv_act(x)"
REMARK = "the result of the convolution is not written to memory"
REFUSALS = {
    1: "the operand of the activation is not a convolution",
    2: "the convolution has another reader or is an output",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of fused pairs."""
    count = 0
    for stage in list(graph.stages()):
        if not isinstance(stage.op, ACTIVATIONS):
            continue
        (before,) = graph.operands(stage.name)
        conv = graph.stage(before).op
        if type(conv) is not Conv or not graph.is_read_by_one(before):
            refusal = 1 if type(conv) is not Conv else 2
            graph.journal.append(Entry(RULE, (before, stage.name), refusal=refusal))
            continue
        fused = attributes_as(ConvActivation, conv, activation=stage.op)
        packed = packings(graph, before)
        graph.become(stage.name, fused, graph.operands(before), packed)
        graph.journal.append(Entry(RULE, (before, stage.name), stage.name))
        count += 1
    return count
