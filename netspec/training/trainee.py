"""A net while it learns: the inputs of its final softmax, and of those of its heads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netspec.ir.fused.exchanges import Exchange
from netspec.runtime.compiled import Compiled
from netspec.runtime.logits import training_graph
from netspec.runtime.operations import lower
from netspec.training.fitting import require_trainable

Answer = tuple[Tensor, dict[str, Tensor]]
"""The net's logits [N, classes], and those of each head."""


class Trainee:
    """A net in training, on the parameters of its compiled model.

    ``trainee(images)`` computes with dropout and heads, and with gradients, by the kernels of the
    model's backend: they are ``model.logits``, as the loss takes the logarithm of the softmax.
    ``trainee.test(images)`` is the net's output in evaluation mode.

    Attributes:
        graph: what runs while training.

    Args:
        model: the compiled net, whose parameters are trained.

    Raises:
        DataError: the net has several inputs or outputs.
    """

    def __init__(self, model: Compiled) -> None:
        require_trainable(model.net)
        self.model = model
        self.graph = training_graph(model)
        self._test: Callable[[Tensor], Tensor] = model
        if any(isinstance(stage.op, Exchange) for stage in model.net.graph.stages()):
            # not by the plan: on a GPU a CUDA graph would wait for other processes
            meaning = model.lowered.backend.meaning
            self._test = model.record(lower(model.net.graph, meaning=meaning))

    def __call__(self, images: Tensor) -> Answer:
        """Return the logits of images [N, C, H, W], with gradients."""
        if not self.model.training:
            self.model.train()
        answer = self.model.logits(images)
        return answer if self.graph.heads else (answer, {})

    def test(self, images: Tensor) -> Tensor:
        """Return the output for images [N, C, H, W] in evaluation mode, without gradients."""
        if self.model.training:
            self.model.eval()
        with torch.inference_mode():
            return self._test(images)
