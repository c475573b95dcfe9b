"""Let batch normalisation use the statistics of all ranks.

It is not in ``PIPELINE``: only ranks that have a part of each batch need it.  It always applies.
"""

from __future__ import annotations

from netspec.ir.fused.synchronised_bn import SynchronisedBatchNorm
from netspec.ir.graph import Entry, Graph
from netspec.ir.operator import attributes_as
from netspec.ir.ops.bn import BatchNorm

RULE = "synchronise"
EQUATION = "bn(x) => synchronised_bn(x)"
REMARK = "the statistics include the images of all ranks"
REFUSALS: dict[int, str] = {}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of replaced normalisations."""
    count = 0
    for stage in list(graph.stages()):
        if type(stage.op) is BatchNorm:
            op = attributes_as(SynchronisedBatchNorm, stage.op)
            graph.become(stage.name, op, graph.operands(stage.name), stage.packed)
            graph.journal.append(Entry(RULE, (stage.name,), stage.name))
            count += 1
    return count
