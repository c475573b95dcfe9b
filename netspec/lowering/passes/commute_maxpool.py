"""Exchange a max pool with the ReLU that it reads.

max(0, .) is monotonic, so the largest value stays the largest.
"""

from __future__ import annotations

from netspec.ir.graph import Entry, Graph, Stage
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.relu import Relu
from netspec.lowering.passes.fuse_relu import WITH_RELU

RULE = "commute_maxpool"
EQUATION = "maxpool(relu(x)) => relu(maxpool(x))"
REMARK = "fewer values are compared with zero; the result has the same bits"
REFUSALS = {
    1: "the ReLU has another reader or is an output",
    2: (
        "the ReLU reads a convolution, a fully connected layer or a pool, and can be fused with it "
        "at no cost"
    ),
    3: "the pool does not make the map smaller",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of exchanged pairs."""
    pools = [stage for stage in graph.stages() if type(stage.op) is MaxPool]
    return sum(_commute(graph, pool) for pool in pools)


def _commute(graph: Graph, pool: Stage) -> int:
    """Move a pool before every ReLU of a chain; return the number of these ReLU."""
    count = 0
    while isinstance(graph.stage(relu := graph.operands(pool.name)[0]).op, Relu):
        refusal = _refusal(graph, pool, relu)
        if refusal:
            graph.journal.append(Entry(RULE, (relu, pool.name), refusal=refusal))
            break
        largest = Stage(graph.unused(f"{pool.name}/largest"), pool.op, pool.span, head=pool.head)
        largest.shape = pool.shape
        graph.add(largest, graph.operands(relu), before=pool.name)
        graph.become(pool.name, Relu(), [largest.name])
        graph.journal.append(Entry(RULE, (relu, pool.name), pool.name))
        graph.journal.append(Entry(RULE, (relu, pool.name), largest.name))
        count += 1
        pool = largest
    return count


def _refusal(graph: Graph, pool: Stage, relu: str) -> int:
    if not graph.is_read_by_one(relu):
        return 1
    (before,) = graph.operands(relu)
    if type(graph.stage(before).op) in WITH_RELU and graph.is_read_by_one(before):
        return 2
    return 3 if pool.known_shape.elements >= graph.stage(relu).known_shape.elements else 0
