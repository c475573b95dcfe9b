"""Fuse a ReLU with the operator that it reads."""

from __future__ import annotations

from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.conv_add import ConvAdd, ConvAddRelu
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.graph import Entry, Graph
from netspec.ir.operator import Operator, attributes_as
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.relu import Relu
from netspec.ir.parameter_names import packings

RULE = "fuse_relu"
EQUATION = "relu(f(x)) => f_relu(x)"
REMARK = "f is a convolution, fc, maxpool, or avgpool + b"
REFUSALS = {
    1: "there is no kernel that fuses the operand of the ReLU with a ReLU",
    2: "the operand of the ReLU has another reader or is an output",
}

WITH_RELU: dict[type[Operator], type[Operator]] = {
    Conv: ConvRelu,
    ConvAdd: ConvAddRelu,
    FullyConnected: FullyConnectedRelu,
    MaxPool: MaxPoolRelu,
    AvgPoolBias: AvgPoolBiasRelu,
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of fused pairs."""
    count = 0
    for stage in list(graph.stages()):
        if not isinstance(stage.op, Relu):
            continue
        (before,) = graph.operands(stage.name)
        op = graph.stage(before).op
        fused = WITH_RELU.get(type(op))
        if fused is None or not graph.is_read_by_one(before):
            refusal = 1 if fused is None else 2
            graph.journal.append(Entry(RULE, (before, stage.name), refusal=refusal))
            continue
        packed = packings(graph, before)
        graph.become(stage.name, attributes_as(fused, op), graph.operands(before), packed)
        graph.journal.append(Entry(RULE, (before, stage.name), stage.name))
        count += 1
    return count
