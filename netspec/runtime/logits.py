"""Logits of a compiled net: by a separate plan, or with gradients in PyTorch's operations."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from netspec.ir.graph import Graph
from netspec.ir.logits import without_softmax
from netspec.runtime.differentiable import Differentiable
from netspec.runtime.features import Features
from netspec.runtime.inputs import check_images, hooked
from netspec.runtime.transforms import needs_operations, refuse_export, refuse_vmap, run_eagerly

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled


class Logits:
    """Computes the values before the final softmax of a compiled net and of its heads.

    Args:
        model: the compiled net.
    """

    def __init__(self, model: Compiled) -> None:
        self._model = model

    @cached_property
    def differentiable(self) -> Differentiable:
        """The logits in PyTorch's operations, with gradients."""
        return Differentiable(self._model, without_softmax(self._model.net.graph))

    @cached_property
    def _features(self) -> Features:
        return Features(self._model, without_softmax(self._model.net.graph))

    def __call__(self, *images: Tensor) -> Any:
        """Return the logits; see :meth:`Compiled.logits`."""
        model = self._model
        if torch.compiler.is_compiling():
            refuse_export(model.net.name)
            if not model.training:
                return run_eagerly(self, *images)
        images = hooked(model, images)
        if not model.training and not (needs_operations(images) or _has_gradients(model)):
            return self._features(*images)
        check_images(model.net.name, model._inputs, model.lowered.dtype, images)
        if not torch.compiler.is_compiling():
            refuse_vmap(model.net.name, images)
        return self.differentiable(model.training)(*images)


def training_graph(model: Compiled) -> Graph:
    """Return the graph that a model in training mode runs for its logits."""
    return model._logits.differentiable.graph(training=True)


def _has_gradients(model: Compiled) -> bool:
    """Return True if gradients by the model's parameters are to be recorded."""
    return torch.is_grad_enabled() and any(p.requires_grad for p in model.parameters())
