"""Logits: the values that the softmax at the end of a net, or of a head, takes."""

from __future__ import annotations

from collections.abc import Iterator

from netspec.ir.graph import Graph
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.identity import Identity
from netspec.ir.ops.softmax import Softmax


def ends_of(graph: Graph) -> list[str]:
    """Return the outputs of a net, then those of its heads."""
    return [*graph.outputs, *(head.output for head in graph.heads.values())]


def final_softmax(graph: Graph, end: str) -> str | None:
    """Return the softmax that an output ends in, or None.

    Stages after it that only pass its values on (an identity, a flatten of a 1x1 map) do not count,
    unless something else reads them, or the softmax, too.
    """
    *after, last = _ending(graph, end)
    is_shared = after and len(graph.consumers(last)) > 1
    return last if isinstance(graph.stage(last).op, Softmax) and not is_shared else None


def before_softmax(graph: Graph, end: str) -> str:
    """Return the stage before the softmax that an output ends in, or else the output's own."""
    softmax = final_softmax(graph, end)
    return end if softmax is None else graph.operands(softmax)[0]


def without_softmax(graph: Graph) -> Graph:
    """Return a copy whose outputs and heads are logits; those without a softmax are as they were.

    A softmax that something else reads stays, for that.
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
    """Yield an output and the stages before it, to the first that does not only pass values on."""
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
