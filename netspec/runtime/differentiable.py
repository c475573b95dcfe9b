"""What a compiled net computes in PyTorch's operations, on the spec's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import fx

from netspec.ir.graph import Graph
from netspec.lowering.passes import TRAINING, optimise
from netspec.runtime.operations import lower

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled


class Differentiable:
    """A graph on the parameters of a compiled net, recorded when it is first needed.

    Args:
        model: holds the spec's own parameters from the first recording on.
        graph: its graph, or a part of it.
    """

    def __init__(self, model: Compiled, graph: Graph) -> None:
        self._model, self._graph = model, graph
        self._graphs: dict[bool, Graph] = {False: graph}
        self._modules: dict[bool, fx.GraphModule] = {}

    def graph(self, training: bool) -> Graph:
        """Return the graph that is recorded: while training, with the passes for that."""
        if training not in self._graphs:
            self._graphs[training] = optimise(self._graph, TRAINING).graph
        return self._graphs[training]

    def __call__(self, training: bool = False) -> fx.GraphModule:
        """Return what computes it, in training mode or at inference.

        Raises:
            ValueError, TypeError, RuntimeError: the parameters are not the spec's.
        """
        model = self._model
        with model._changing:
            if training not in self._modules:
                meaning = model.lowered.backend.meaning
                lowered = lower(self.graph(training), training=training, meaning=meaning)
                self._modules[training] = model.record(lowered)
        if model._own is not None:
            model._own.require_all(training)
        return self._modules[training]
