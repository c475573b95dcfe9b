"""A net in training: its logits, with gradients, and its output in tests."""

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
    """A net in training, with the parameters of its compiled model.

    ``trainee(images)`` returns the logits of the net and of its heads, with dropout and gradients,
    computed by the kernels of the model's backend.  It returns logits because the loss needs the
    logarithm of the softmax.  ``trainee.test(images)`` returns the output in evaluation mode.

    Attributes:
        graph: the graph that runs in training.

    Args:
        model: the compiled net, whose parameters are trained.

    Raises:
        DataError: if the net has several inputs or outputs.
    """

    def __init__(self, model: Compiled) -> None:
        require_trainable(model.net)
        self.model = model
        self.graph = training_graph(model)
        self._test: Callable[[Tensor], Tensor] = model
        if any(isinstance(stage.op, Exchange) for stage in model.net.graph.stages()):
            # not with the plan: on a GPU it runs as a CUDA graph, which cannot wait for other ranks
            meaning = model.lowered.backend.meaning
            self._test = model.record(lower(model.net.graph, meaning=meaning))

    def __call__(self, images: Tensor) -> Answer:
        """Return the logits for images [N, C, H, W], with gradients."""
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
