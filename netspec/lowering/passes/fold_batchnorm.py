"""Fold a normalisation into the filters and the bias of the convolution before it.

w'[o] = w[o] s[o] and b'[o] = (b[o] - mean[o]) s[o] + bias[o], with
s = weight / sqrt(variance + eps).  They are computed in float64 and rounded once, so that folding
adds one rounding to the error and not three.
"""

from __future__ import annotations

from dataclasses import replace

from netspec.ir.graph import Entry, Graph
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.conv import Conv
from netspec.ir.packing import FoldedBias, FoldedWeight, Norm
from netspec.ir.parameter_names import attribute, packings

RULE = "fold_batchnorm"
EQUATION = "bn(conv(x)) => conv'(x)"
REMARK = "the filters and the bias include the scale and shift of the normalisation"
REFUSALS = {
    1: "the operand of the normalisation is not a convolution",
    2: "the convolution has another reader or is an output",
    3: "the convolution has a connection table, whose kernels do not belong to one filter each",
    4: "a normalisation is already folded into the convolution",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of folded normalisations."""
    count = 0
    for stage in list(graph.stages()):
        if not isinstance(stage.op, BatchNorm):
            continue
        (conv,) = graph.operands(stage.name)
        refusal = _refusal(graph, conv)
        if refusal:
            graph.journal.append(Entry(RULE, (conv, stage.name), refusal=refusal))
            continue
        names = ("weight", "bias", "running_mean", "running_var")
        weight, bias, mean, variance = (attribute(stage.name, name) for name in names)
        norm = Norm(weight, bias, mean, variance, stage.op.eps)
        parameters, op = packings(graph, conv), graph.stage(conv).op
        assert isinstance(op, Conv)
        packed = {
            "weight": FoldedWeight(parameters["weight"], norm),
            "bias": FoldedBias(parameters.get("bias"), norm),
        }
        graph.become(stage.name, replace(op, bias=True), graph.operands(conv), packed)
        graph.journal.append(Entry(RULE, (conv, stage.name), stage.name))
        count += 1
    return count


def _refusal(graph: Graph, conv: str) -> int:
    op = graph.stage(conv).op
    if type(op) is not Conv:
        return 1
    if not graph.is_read_by_one(conv):
        return 2
    if op.connect is not None:
        return 3
    return 4 if isinstance(graph.stage(conv).packed.get("weight"), FoldedWeight) else 0
