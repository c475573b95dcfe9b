"""A net while it learns: the inputs of its final softmax, and of those of its heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from netspec.ir.fused.exchanges import Exchange
from netspec.ir.graph import Graph
from netspec.ir.ops.softmax import Softmax
from netspec.lowering.passes import TRAINING, Pass, optimise
from netspec.runtime.compiled import Compiled
from netspec.runtime.operations import lower
from netspec.training.fitting import require_trainable

Answer = tuple[Tensor, dict[str, Tensor]]
"""The net's logits [N, classes], and those of each head."""


class Trainee:
    """A net in training, on the parameters of its compiled model.

    ``trainee(images)`` computes with dropout and heads, and with gradients, by the kernels of the
    model's backend; a softmax at the very end is left to the loss, which takes its logarithm.
    ``trainee.test(images)`` is the net's output in evaluation mode.

    Args:
        model: the compiled net, whose parameters are trained.
        passes: rewrites of the graph that is trained.

    Raises:
        DataError: the net has several inputs or outputs.
    """

    def __init__(self, model: Compiled, passes: Sequence[Pass] = TRAINING) -> None:
        require_trainable(model.net)
        self.model = model
        self.graph = optimise(without_softmax(model.net.graph), passes).graph
        meaning = model.lowered.backend.meaning
        self._run = model.record(lower(self.graph, training=True, meaning=meaning))
        self._test: Callable[[Tensor], Tensor] = model
        if any(isinstance(stage.op, Exchange) for stage in model.net.graph.stages()):
            # not by the plan: on a GPU a CUDA graph would wait for other processes
            self._test = model.record(lower(model.net.graph, meaning=meaning))

    def __call__(self, images: Tensor) -> Answer:
        """Return the logits of images [N, C, H, W], with gradients."""
        if not self.model.training:
            self.model.train()
        answer: Answer = self._run(images)
        return answer

    def test(self, images: Tensor) -> Tensor:
        """Return the output for images [N, C, H, W] in evaluation mode, without gradients."""
        if self.model.training:
            self.model.eval()
        with torch.inference_mode():
            return self._test(images)


def without_softmax(graph: Graph) -> Graph:
    """Return a copy that outputs the input of each softmax at the end of the net or of a head."""
    rewritten = graph.copy()
    ends = {*rewritten.outputs, *(head.output for head in rewritten.heads.values())}
    before = {
        name: rewritten.operands(name)[0]
        for name in ends
        if isinstance(rewritten.stage(name).op, Softmax)
    }
    rewritten.outputs = [before.get(name, name) for name in rewritten.outputs]
    rewritten.heads = {
        name: head._replace(output=before.get(head.output, head.output))
        for name, head in rewritten.heads.items()
    }
    rewritten.sweep(before)
    rewritten.verify()
    return rewritten
