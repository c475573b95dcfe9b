"""A compiled net in PyTorch's operations, on the spec's parameters, for gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import fx

from netspec.ir.graph import Graph
from netspec.lowering.passes import TRAINING, optimise
from netspec.runtime.operations import lower

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled


class Differentiable:
    """A graph on the parameters of a compiled net, recorded when it is first used.

    Args:
        model: the compiled net; from the first use on it also has the spec's parameters.
        graph: its graph, or a part of it.
    """

    def __init__(self, model: Compiled, graph: Graph) -> None:
        self._model, self._graph = model, graph
        self._graphs: dict[bool, Graph] = {False: graph}
        self._modules: dict[bool, fx.GraphModule] = {}

    def graph(self, training: bool) -> Graph:
        """Return the graph that is recorded; for training, after the passes for training."""
        if training not in self._graphs:
            self._graphs[training] = optimise(self._graph, TRAINING).graph
        return self._graphs[training]

    def __call__(self, training: bool = False) -> fx.GraphModule:
        """Return the module that computes the graph, for training or for inference.

        Raises:
            ValueError, TypeError, RuntimeError: parameters are missing or have wrong sizes, or a
                module of the net was changed.
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
