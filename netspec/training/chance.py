"""Detect runs that do not learn: the loss is far above that of guessing and answers are not better.

A net that gives all C classes the same probability has the loss ln C with cross_entropy and
1 - 1/C with squared_error (the error is 1 - 1/C for the right class and 1/C for the others).  It is
wrong for a share 1 - 1/C of all images.  A new net begins near this loss and falls below it.  A net
with dead ReLUs, whose answer is constant, stays at it.  So a loss several times as high means that
the net is confident and wrong: its outputs grow, usually because the images are not scaled or the
learning rate is too high.

- A loss is "far above" at three times that of guessing: the right class then has the probability
  C^-3.  With a high but good learning rate, the first steps may have such a loss.  So the warning
  also requires an epoch in which more than half of the answers that guessing has wrong are wrong.
- A run ends at chance if, on both the training set and the validation set, it has at least nine
  tenths of the wrong answers of guessing.  That alone is not an error: nets with dead ReLUs are at
  chance from the first step, and slow nets are at chance for a while.  An error also requires that
  outputs exploded: the last loss is above the first and above twice that of guessing; or some epoch
  had ten times the loss of guessing and the last loss is not below 0.95 of it (ReLUs may have died
  since; 0.95 because a constant answer gains a little where classes differ in size).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import log
from typing import NamedTuple

from netspec.errors import DataError
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.recipe import CrossEntropy, Recipe
from netspec.net import Net
from netspec.training.metrics import Epoch

FAR, GROWN, EXPLODED, LEAST = 3.0, 2.0, 10.0, 0.95
"""Limits as multiples of the loss of guessing."""
HALF, MOST = 0.5, 0.9
"""Limits as shares of the wrong answers of guessing."""


class AtChance(DataError):
    """Error for a run that ended without learning anything; its weights are kept."""


class Chance(NamedTuple):
    """The loss of guessing, and its error in percent."""

    loss: float
    error: float


def chance(net: Net, recipe: Recipe, classes: int) -> Chance | None:
    """Return the loss and error of guessing; None if undefined (RBF outputs are distances).

    Args:
        net: the net, whose output shape gives the number of outputs.
        recipe: the recipe, which names the loss.
        classes: number of classes of the data.
    """
    graph = net.graph
    is_entropy = isinstance(recipe.loss[0], CrossEntropy)
    total = 0.0
    ends = [(graph.outputs[0], 1.0), *((head.output, head.weight) for head in graph.heads.values())]
    for name, weight in ends:
        stage = graph.stage(name)
        outputs = stage.known_shape.elements
        if isinstance(stage.op, RadialBasis) or outputs < 2 or classes < 2:
            return None
        total += weight * (log(outputs) if is_entropy else 1 - 1 / outputs)
    return Chance(total, 100 * (1 - 1 / classes))


def warn_of_chance(guessing: Chance | None, epochs: Sequence[Epoch]) -> None:
    """Warn after the first epoch whose loss is far above that of guessing; once per run."""
    if guessing is None or not _is_far_above(guessing, epochs[-1]):
        return
    if not any(_is_far_above(guessing, epoch) for epoch in epochs[:-1]):
        last = epochs[-1]
        warnings.warn(
            f"the loss of epoch {last.epoch:,} is {last.loss:,.4g}, far above the loss of "
            f"guessing, {guessing.loss:.3g}: {_advice(last)}",
            stacklevel=2,
        )


def require_learned(guessing: Chance | None, epochs: Sequence[Epoch], where: object) -> None:
    """Raise AtChance if a run ended at chance after its loss grew."""
    first, last = epochs[0], epochs[-1]
    if guessing is None or min(last.train_error, last.top1) < MOST * guessing.error:
        return
    worst = max(epochs, key=lambda epoch: epoch.loss)
    has_grown = last.loss > max(first.loss, GROWN * guessing.loss)
    has_exploded = worst.loss > EXPLODED * guessing.loss and last.loss > LEAST * guessing.loss
    if has_grown or has_exploded:
        raise AtChance(
            f"the run has learned nothing: its error is that of guessing ({last.top1:.2f} %), and "
            f"its loss was {worst.loss:,.4g} in epoch {worst.epoch:,} (guessing: "
            f"{guessing.loss:.3g}); {_advice(last)}; the weights are kept in {where}"
        )


def _is_far_above(guessing: Chance, epoch: Epoch) -> bool:
    return epoch.loss > FAR * guessing.loss and epoch.train_error > HALF * guessing.error


def _advice(epoch: Epoch) -> str:
    return (
        "scale the images (`prepare range low=-1, high=1`), or begin with a smaller learning rate, "
        f"such as --lr {epoch.lr / 10:g}, or with other initial weights (--init)"
    )
