"""Logits: the input of the softmax at the end of a net or of a head."""

from __future__ import annotations

from collections.abc import Iterator

from netspec.ir.graph import Graph
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.identity import Identity
from netspec.ir.ops.softmax import Softmax


def ends_of(graph: Graph) -> list[str]:
    """Return the stages of the net's outputs, then those of its heads' outputs."""
    return [*graph.outputs, *(head.output for head in graph.heads.values())]


def final_softmax(graph: Graph, end: str) -> str | None:
    """Return the softmax that an output ends in, or None.

    Stages after the softmax that do not change its values (an identity, a flatten of a 1x1 map) are
    skipped, if no other stage reads them or the softmax.
    """
    *after, last = _ending(graph, end)
    is_shared = after and len(graph.consumers(last)) > 1
    return last if isinstance(graph.stage(last).op, Softmax) and not is_shared else None


def before_softmax(graph: Graph, end: str) -> str:
    """Return the stage before the final softmax of an output; without one, the output's stage."""
    softmax = final_softmax(graph, end)
    return end if softmax is None else graph.operands(softmax)[0]


def without_softmax(graph: Graph) -> Graph:
    """Return a copy of the graph whose outputs and heads are logits.

    Outputs without a final softmax are unchanged.  A softmax that another stage reads remains in
    the graph for that stage.
    """
    rewritten = graph.copy()
    removed: dict[str, str] = {}
    for end in dict.fromkeys(ends_of(graph)):
        softmax = final_softmax(graph, end)
        if softmax is None:
            continue
        (logits,) = graph.operands(softmax)
        *after, _ = _ending(graph, end)
        if after:
            rewritten.become(after[-1], graph.stage(after[-1]).op, [logits])
        else:
            removed[end] = logits
    rewritten.outputs = [removed.get(name, name) for name in rewritten.outputs]
    rewritten.heads = {
        name: head._replace(output=removed.get(head.output, head.output))
        for name, head in rewritten.heads.items()
    }
    rewritten.sweep(removed)
    rewritten.verify()
    return rewritten


def _ending(graph: Graph, end: str) -> Iterator[str]:
    """Yield an output and the stages before it, up to the first that changes its input's values."""
    name, readers = end, 0
    while _passes_on(graph, name) and len(graph.consumers(name)) == readers:
        if readers and name in ends_of(graph):
            break
        yield name
        (name,), readers = graph.operands(name), 1
    yield name


def _passes_on(graph: Graph, name: str) -> bool:
    op = graph.stage(name).op
    if isinstance(op, Flatten):
        (x,) = graph.shapes_into(name)
        return x.elements == x.channels
    return isinstance(op, Identity)
