"""Logits of a compiled net: by a plan of their own, or in PyTorch's operations for a loss."""

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
    """What a compiled net, and each of its heads, computes before its final softmax.

    Args:
        model: the compiled net.
    """

    def __init__(self, model: Compiled) -> None:
        self._model = model

    @cached_property
    def differentiable(self) -> Differentiable:
        """What computes them with gradients."""
        return Differentiable(self._model, without_softmax(self._model.net.graph))

    @cached_property
    def _features(self) -> Features:
        return Features(self._model, without_softmax(self._model.net.graph))

    def __call__(self, *images: Tensor) -> Any:
        """Return them, as ``model.logits`` says."""
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
    """Return the graph that computes the logits of a model in training mode."""
    return model._logits.differentiable.graph(training=True)


def _has_gradients(model: Compiled) -> bool:
    """Return whether a loss of the model has gradients by its parameters."""
    return torch.is_grad_enabled() and any(p.requires_grad for p in model.parameters())
