"""Runs that do not learn: a loss far above that of guessing, and answers no better.

A net that finds all C classes equally probable has the loss ln C under cross_entropy, and 1 - 1/C
under squared_error (the right answer is off by 1 - 1/C, the others by 1/C); it is wrong in 1 - 1/C
of all images.  Fresh nets begin near that and fall below; a constant answer, as that of dead ReLUs,
stays there.  So a loss of a multiple of it is that of a net which is sure and wrong: its outputs
grow, mostly since the images were not scaled or the rate is too high.

- Far above is three times: the right class has the probability C^-3.  The first steps of a rate
  that is high and right may be there, an epoch in which half of the answers that guessing has wrong
  are right is not; so both are asked for.
- At the end a run is at chance if it has at least nine tenths of the wrong answers of guessing, on
  the training set and on the validation set, and no loss below that of guessing: 0.95 of it, as
  constant answers gain a little where classes differ in size.  Dead nets are so from the first
  step, and nets that learn slowly for a while; what neither has is a loss that grew to more than
  twice that of guessing, or one of ten times in any epoch: outputs that explode, whether they go
  on, or their ReLUs have died of it since.
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
"""Times the loss of guessing."""
HALF, MOST = 0.5, 0.9
"""Shares of the wrong answers of guessing."""


class AtChance(DataError):
    """A run that has ended, with its weights kept, and has learned nothing."""


class Chance(NamedTuple):
    """The loss of guessing, and its wrong answers in percent."""

    loss: float
    error: float


def chance(net: Net, recipe: Recipe, classes: int) -> Chance | None:
    """Return what guessing has; None where there is no such thing, for distances to codes.

    Args:
        net: its last shape has the number of outputs.
        recipe: which loss.
        classes: the number of classes of the data.
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
    """Warn, once in a run, after an epoch whose loss is far above that of guessing."""
    if guessing is None or not _is_far_above(guessing, epochs[-1]):
        return
    if not any(_is_far_above(guessing, epoch) for epoch in epochs[:-1]):
        last = epochs[-1]
        warnings.warn(
            f"the loss of epoch {last.epoch:,} is {last.loss:,.4g}, and a net that finds all "
            f"classes equally probable has {guessing.loss:.3g}: {_advice(last)}",
            stacklevel=2,
        )


def require_learned(guessing: Chance | None, epochs: Sequence[Epoch], where: object) -> None:
    """Raise if a run ended at chance after its loss grew.

    Raises:
        AtChance: it has.
    """
    first, last = epochs[0], epochs[-1]
    if guessing is None or min(last.train_error, last.top1) < MOST * guessing.error:
        return
    worst = max(epochs, key=lambda epoch: epoch.loss)
    has_grown = last.loss > max(first.loss, GROWN * guessing.loss)
    has_exploded = worst.loss > EXPLODED * guessing.loss and last.loss > LEAST * guessing.loss
    if has_grown or has_exploded:
        raise AtChance(
            f"the run has learned nothing: its answers are as wrong as guesses "
            f"({last.top1:.2f} %), and its loss was {worst.loss:,.4g} in epoch {worst.epoch:,}, "
            f"where guessing has {guessing.loss:.3g}; {_advice(last)}; its weights are kept in "
            f"{where}"
        )


def _is_far_above(guessing: Chance, epoch: Epoch) -> bool:
    return epoch.loss > FAR * guessing.loss and epoch.train_error > HALF * guessing.error


def _advice(epoch: Epoch) -> str:
    return (
        "scale the images (`prepare range low=-1, high=1`), begin with a smaller rate, such as "
        f"--lr {epoch.lr / 10:g}, or with other weights, --init"
    )
