"""The loss of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from netspec.errors import DataError
from netspec.ir.logits import final_softmax
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.recipe import CrossEntropy, Recipe
from netspec.net import Net


def loss(
    net: Net,
    recipe: Recipe,
    logits: Tensor,
    heads: Mapping[str, Tensor],
    labels: Tensor,
    *,
    total: int | None = None,
) -> Tensor:
    """Return the mean loss of a batch, plus the loss of each head times the head's weight.

    - cross_entropy: -log softmax(logits)[label], the multinomial logistic objective of the AlexNet
      paper (section 3.5).  It is computed as log-softmax, in float32 or float64.
    - squared_error: the sum over outputs y of (y - t)^2, with t = 1 for the label and 0 elsewhere.
      Outputs of radial basis functions are squared distances already; the loss is the output of
      the label (LeCun et al. 1998, equation 8).

    Args:
        net: the net in training.
        recipe: the recipe, which names the loss.
        logits: [N, classes], inputs of the final softmax, or outputs of a net without one.
        heads: logits of each head by name, [N, classes].
        labels: right classes, [N] int64.
        total: number of images to divide the sum by, if this is a part of a batch; N if None.

    Returns:
        A tensor with one value.

    Raises:
        DataError: if the loss cannot be used with the net's last operator.
    """
    graph = net.graph
    is_entropy = isinstance(recipe.loss[0], CrossEntropy)
    count = len(labels) if total is None else total
    ends = [(graph.outputs[0], logits, 1.0)]
    ends += [(head.output, heads[name], head.weight) for name, head in graph.heads.items()]
    terms = []
    for stage, outputs, weight in ends:
        op = graph.stage(stage).op
        values = outputs.flatten(1).to(torch.promote_types(outputs.dtype, torch.float32))
        if is_entropy and op.answers_by == "least":
            raise DataError(
                f"{net.name} ends in {op.name}, whose smallest output is the answer, but "
                "cross_entropy requires the largest to be: write `loss squared_error`"
            )
        if is_entropy:
            term = F.cross_entropy(values, labels, reduction="sum")
        elif isinstance(op, RadialBasis):
            term = values.gather(1, labels[:, None]).sum()
        else:
            answers = values if final_softmax(graph, stage) is None else values.softmax(1)
            targets = F.one_hot(labels, answers.shape[1]).to(answers.dtype)
            term = F.mse_loss(answers, targets, reduction="sum")
        terms.append(weight * term)
    return torch.stack(terms).sum() / count
