"""Activations of a compiled net: a plan of their own, on the same packed parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, fx
from torch.nn import Module

from netspec.lowering.backend import Executor
from netspec.lowering.lowered import lowered
from netspec.runtime.inputs import check_images, one_or_all
from netspec.runtime.operations import lower
from netspec.runtime.plain import run_plainly
from netspec.runtime.transforms import needs_operations, refuse_recording, refuse_vmap

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled


class Features(Module):
    """Activations of a compiled net, by a plan of their own; packed parameters are shared.

    Attributes:
        notes: which of the activations the compiled net does not compute, a sentence each.
    """

    def __init__(self, model: Compiled, names: Sequence[str]) -> None:
        super().__init__()
        self._of = (model,)  # in a tuple, or its parameters would be this module's, too
        self._names = list(names)
        graph, whole = model.net.graph.copy(), model.lowered
        ends, graph.outputs = graph.outputs, self._names
        graph.sweep(ends)
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
            f"the compiled {model.net.name} does without {name}: it is computed apart here"
            for name in names
            if whole.graph.value_of(name) is None
        ]
        self._executors: tuple[Executor, Executor] | None = None
        """The executor of the model, and that of these rows with the same packed parameters."""
        self._with_gradients: fx.GraphModule | None = None
        self.eval()

    def forward(self, *images: Tensor) -> Any:
        """The activation, or a tuple of them."""
        (model,) = self._of
        refuse_recording(model.net.name, *images)
        check_images(model.net.name, model._inputs, self.lowered.dtype, images)
        if needs_operations(images):
            refuse_vmap(model.net.name, images)
            return self._differentiable()(*images)
        answer = self._executor()(*images)
        plain = self._differentiable
        return one_or_all(answer or run_plainly(plain, model._changing, images, None))

    def _differentiable(self) -> fx.GraphModule:
        (model,) = self._of
        if self._with_gradients is None:
            meaning = self.lowered.backend.meaning
            recorded = lower(model.net.graph, outputs=self._names, meaning=meaning)
            self._with_gradients = model.record(recorded)
        elif model._own is not None:
            model._own.require_all()
        return self._with_gradients

    def _executor(self) -> Executor:
        (model,) = self._of
        whole, executors = model.refresh(), self._executors
        if executors is None or executors[0] is not whole:
            with model._unchanged() as (whole, packed):
                executors = whole, packed.executor_of(self.lowered, model.canonical)
            self._executors = executors  # both at once, for threads that run it at the same time
        return executors[1]

    def extra_repr(self) -> str:
        """The activations, and the notes."""
        return "\n".join([", ".join(self._names), *self.notes])
