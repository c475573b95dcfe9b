"""What became of the stages of a spec, as the journal of the passes tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netspec.ir.graph import Entry, Graph


class Way:
    """From the stages of a spec to those of the rewritten graph, and back.

    Args:
        graph: the net's own.
        rewritten: what passes made of it, with their journal.
    """

    def __init__(self, graph: Graph, rewritten: Graph) -> None:
        self._order = {stage.name: i for i, stage in enumerate(graph.stages())}
        self._parts = {name: frozenset((name,)) for name in self._order}
        self._touched: dict[Entry, frozenset[str]] = {}
        for entry in rewritten.journal:
            touched = frozenset[str]().union(*map(self.parts_of, entry.stages))
            if not entry.result and not entry.refusal:  # a head, which is told by its last stage
                heads = {graph.stage(name).head for name in touched} - {""}
                touched |= {stage.name for stage in graph.stages() if stage.head in heads}
            self._touched[entry] = touched
            is_gone = all(name in rewritten.same_value for name in entry.stages)
            if entry.result and not is_gone:
                self._parts[entry.result] = self.parts_of(entry.result) | touched

    def parts_of(self, stage: str) -> frozenset[str]:
        """The stages of the spec that went into a stage of the rewritten graph."""
        return self._parts.get(stage, frozenset())

    def in_order(self, stages: Iterable[str]) -> tuple[str, ...]:
        """Stages of the spec in its order."""
        return tuple(sorted(stages, key=self._order.__getitem__))

    def entries(self, stages: Iterable[str]) -> Iterator[Entry]:
        """The entries that touch one of these stages of the spec, each once, in order."""
        names = frozenset(stages)
        return (entry for entry, touched in self._touched.items() if touched & names)
