"""Activations of a compiled net: a separate plan with the same packed parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import Module

from netspec.ir.graph import Graph
from netspec.lowering.backend import Executor
from netspec.lowering.lowered import lowered
from netspec.runtime.differentiable import Differentiable
from netspec.runtime.inputs import check_images, one_or_all
from netspec.runtime.plain import run_plainly
from netspec.runtime.transforms import needs_operations, refuse_recording, refuse_vmap

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled


def ending_in(graph: Graph, labels: Sequence[str]) -> Graph:
    """Return a copy of a net's graph whose outputs are these rows or stages.

    Raises:
        KeyError: the net does not have such a row or stage.
    """
    rewritten = graph.copy()
    ends, rewritten.outputs = rewritten.outputs, [graph.find(label) for label in labels]
    rewritten.sweep(ends)
    return rewritten


class Features(Module):
    """A module that computes activations of a compiled net, with a separate plan.

    It shares the packed parameters of the net where the two plans have the same step.

    Attributes:
        notes: a sentence for each activation that the compiled net itself does not compute.

    Args:
        model: the compiled net.
        graph: a part of its graph, whose outputs are the activations.
    """

    def __init__(self, model: Compiled, graph: Graph) -> None:
        super().__init__()
        self._of = (model,)  # in a tuple: as an attribute it would be registered as a submodule
        self._names, whole = graph.outputs, model.lowered
        first = lowered(graph, whole.backend, dtype=whole.dtype, batch=whole.batch)
        chosen = {
            stage: whole.choices[stage].implementation
            for stage, problem in first.problems.items()
            if whole.problems.get(stage) == problem
        }
        self.lowered = lowered(
            graph, whole.backend, dtype=whole.dtype, batch=whole.batch, decided=chosen
        )
        self.notes = [
            f"the compiled {model.net.name} does not compute {name}: it is computed separately"
            for name in graph.outputs
            if whole.graph.value_of(name) is None
        ]
        self._executors: tuple[Executor, Executor] | None = None
        """The executor of the model, and the executor of these rows that was made for it."""
        self._differentiable = Differentiable(model, graph)
        self.eval()

    def forward(self, *images: Tensor) -> Any:
        """Return the activation, or a tuple of several, in the order of the labels.

        Args:
            images: a batch for each input, as in a call of the model.
        """
        (model,) = self._of
        refuse_recording(model.net.name, *images)
        check_images(model.net.name, model._inputs, self.lowered.dtype, images)
        if needs_operations(images):
            refuse_vmap(model.net.name, images)
            return self._differentiable()(*images)
        answer = self._executor()(*images)
        plain = self._differentiable
        return one_or_all(answer or run_plainly(plain, model._changing, images, None))

    def _executor(self) -> Executor:
        (model,) = self._of
        whole, executors = model.refresh(), self._executors
        if executors is None or executors[0] is not whole:
            with model._unchanged() as (whole, packed):
                executors = whole, packed.executor_of(self.lowered, model.canonical)
            self._executors = executors  # one assignment, so that other threads see a matching pair
        return executors[1]

    def extra_repr(self) -> str:
        """Return the names of the activations, and the notes."""
        return "\n".join([", ".join(self._names), *self.notes])
