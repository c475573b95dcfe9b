"""The loss of a batch, from the logits of the net and of its heads."""

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
    """Return the mean loss of a batch, plus that of each head times its weight.

    cross_entropy: -log softmax(logits)[label], the multinomial logistic objective of the AlexNet
    paper (section 3.5); the logarithm is taken of the softmax as a whole, in float32 at least.
    squared_error: sum over outputs y of (y - [1 for the label, 0 elsewhere])^2; where the output
    is of radial basis functions, which are squared distances already, that of the label (LeCun et
    al. 1998, equation 8).

    Args:
        net: the net that learns.
        recipe: says which loss.
        logits: [N, classes], inputs of the final softmax, or outputs of a net without one.
        heads: the same of each head.
        labels: [N] right classes.
        total: how many images the mean is over, where these are a part of a batch; N if None.

    Raises:
        DataError: the loss does not go with the net's last operator.
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
                f"{net.name} ends in {op.name}, whose least output is the answer; cross_entropy "
                "is of nets whose greatest is: write `loss squared_error`"
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
