"""Fuse a ReLU with the batch normalisation that it reads."""

from __future__ import annotations

from netspec.ir.fused.bn_relu import BatchNormRelu
from netspec.ir.graph import Entry, Graph
from netspec.ir.operator import attributes_as
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.relu import Relu
from netspec.ir.parameter_names import packings

RULE = "fuse_bn_relu"
EQUATION = "relu(bn(x)) => bn_relu(x)"
REMARK = "a normalisation that no convolution can take, as after a concatenation"
REFUSALS = {1: "the normalisation has another reader or is an output"}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of fused pairs."""
    count = 0
    for stage in list(graph.stages()):
        if not isinstance(stage.op, Relu):
            continue
        (before,) = graph.operands(stage.name)
        op = graph.stage(before).op
        if type(op) is not BatchNorm:  # fuse_relu says why there is no kernel for the others
            continue
        if not graph.is_read_by_one(before):
            graph.journal.append(Entry(RULE, (before, stage.name), refusal=1))
            continue
        packed = packings(graph, before)
        fused = attributes_as(BatchNormRelu, op)
        graph.become(stage.name, fused, graph.operands(before), packed)
        graph.journal.append(Entry(RULE, (before, stage.name), stage.name))
        count += 1
    return count
