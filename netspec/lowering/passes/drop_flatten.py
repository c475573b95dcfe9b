"""Remove the flatten before a fully connected layer."""

from __future__ import annotations

from netspec.ir.graph import Entry, Graph
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.flatten import Flatten
from netspec.ir.parameter_names import packings

RULE = "drop_flatten"
EQUATION = "fc(flatten(x)) => fc(x)"
REMARK = "a fully connected layer can read a map"
REFUSALS = {
    1: "the flat vector has another reader or is an output",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of removed operands."""
    count = 0
    for stage in list(graph.stages()):
        if not isinstance(stage.op, FullyConnected):
            continue
        while isinstance(graph.stage(flat := graph.operands(stage.name)[0]).op, Flatten):
            if not graph.is_read_by_one(flat):
                graph.journal.append(Entry(RULE, (flat, stage.name), refusal=1))
                break
            packed = packings(graph, stage.name)
            graph.become(stage.name, stage.op, graph.operands(flat), packed)
            graph.journal.append(Entry(RULE, (flat, stage.name), stage.name))
            count += 1
    return count
