"""Relate the stages of a spec to those of the rewritten graph, from the journal of the passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netspec.ir.graph import Entry, Graph


class Lineage:
    """The relation between the stages of a spec and those of the rewritten graph.

    Args:
        graph: the net's graph.
        rewritten: the graph that the passes made from it, with their journal.
    """

    def __init__(self, graph: Graph, rewritten: Graph) -> None:
        self._order = {stage.name: i for i, stage in enumerate(graph.stages())}
        self._parts = {name: frozenset((name,)) for name in self._order}
        self._touched: dict[Entry, frozenset[str]] = {}
        for entry in rewritten.journal:
            touched = frozenset[str]().union(*map(self.parts_of, entry.stages))
            # An entry without a result removed a head and names only the head's last stage.
            if not entry.result and not entry.refusal:
                heads = {graph.stage(name).head for name in touched} - {""}
                touched |= {stage.name for stage in graph.stages() if stage.head in heads}
            self._touched[entry] = touched
            is_gone = all(name in rewritten.same_value for name in entry.stages)
            if entry.result and not is_gone:
                self._parts[entry.result] = self.parts_of(entry.result) | touched

    def parts_of(self, stage: str) -> frozenset[str]:
        """Return the stages of the spec from which a stage of the rewritten graph was made."""
        return self._parts.get(stage, frozenset())

    def in_order(self, stages: Iterable[str]) -> tuple[str, ...]:
        """Return stages of the spec in the order of the spec."""
        return tuple(sorted(stages, key=self._order.__getitem__))

    def entries(self, stages: Iterable[str]) -> Iterator[Entry]:
        """Return the journal entries about any of these stages, in order, without duplicates."""
        names = frozenset(stages)
        return (entry for entry, touched in self._touched.items() if touched & names)
