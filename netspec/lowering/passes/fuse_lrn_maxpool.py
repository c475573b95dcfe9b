"""Fuse a max pool with the LRN that it reads."""

from __future__ import annotations

from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.graph import Entry, Graph
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool

RULE = "fuse_lrn_maxpool"
EQUATION = "maxpool(lrn(x)) => lrn_maxpool(x)"
REMARK = "the normalised map is not written to memory"
REFUSALS = {
    1: "the normalised map has another reader or is an output",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of fused pairs."""
    count = 0
    for stage in list(graph.stages()):
        pool = stage.op
        if type(pool) is not MaxPool:
            continue
        (before,) = graph.operands(stage.name)
        lrn = graph.stage(before).op
        if not isinstance(lrn, LocalResponseNorm):
            continue
        if not graph.is_read_by_one(before):
            graph.journal.append(Entry(RULE, (before, stage.name), refusal=1))
            continue
        graph.become(stage.name, LrnMaxPool(lrn=lrn, pool=pool), graph.operands(before))
        graph.journal.append(Entry(RULE, (before, stage.name), stage.name))
        count += 1
    return count
