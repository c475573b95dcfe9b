"""maxpool(relu(x)) => relu(maxpool(x)): fewer values to compare with zero, to the bit the same.

max(0, .) never decreases, so that the largest value stays the largest.

Refuses when

1. something else reads the ReLU too;
2. the ReLU stands behind a convolution, a fully connected layer or a pool, where it costs nothing;
3. the pool does not make the map smaller.
"""

from __future__ import annotations

from netspec.graph import Entry, Graph, Stage
from netspec.ops.maxpool import MaxPool
from netspec.ops.relu import Relu
from netspec.passes.fuse_relu import WITH_RELU

RULE = "commute_maxpool"


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; returns how many changed places."""
    count = 0
    waiting = list(graph.stages())
    for stage in waiting:
        pool = stage.op
        if type(pool) is not MaxPool:
            continue
        (relu,) = graph.operands(stage.name)
        if not isinstance(graph.stage(relu).op, Relu):
            continue
        refusal = _refusal(graph, stage, relu)
        if refusal:
            graph.journal.append(Entry(RULE, (relu, stage.name), refusal=refusal))
            continue
        largest = Stage(f"{stage.name}/largest", pool, stage.span, head=stage.head)
        largest.shape = stage.shape
        graph.add(largest, graph.operands(relu))
        waiting.append(largest)  # there may be another ReLU before it
        graph.become(stage.name, Relu(), [largest.name])
        graph.journal.append(Entry(RULE, (relu, stage.name), stage.name))
        graph.journal.append(Entry(RULE, (relu, stage.name), largest.name))
        count += 1
    return count


def _refusal(graph: Graph, pool: Stage, relu: str) -> int:
    if not graph.is_read_by_one(relu):
        return 1
    (before,) = graph.operands(relu)
    if type(graph.stage(before).op) in WITH_RELU and graph.is_read_by_one(before):
        return 2
    return 3 if pool.known_shape.elements >= graph.stage(relu).known_shape.elements else 0
