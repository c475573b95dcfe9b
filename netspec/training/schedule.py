"""The schedule of the learning rate."""

from __future__ import annotations

import math
from typing import Any

from netspec.ir.recipe import Every, Plateau, Recipe, RecipeStep


class Schedule:
    """The factor of the learning rate, which changes between epochs.

    - ``plateau``: if the validation error has not improved for ``patience`` epochs, multiply the
      rate by ``factor``.  After ``times`` such reductions, the next plateau ends training (AlexNet,
      section 5: divide by 10 three times, then stop).
    - ``every N``: multiply the rate by ``factor`` every N epochs.
    - without a schedule, the rate is constant.

    Args:
        step: the schedule in the recipe; None if it does not have one.

    Attributes:
        factor: factor of the learning rate in the next epoch.
        finished: True if training must end now.
    """

    def __init__(self, step: RecipeStep | None) -> None:
        self._step = step
        self.factor = 1.0
        self.finished = False
        self._least = math.inf
        self._waited = 0
        self._reduced = 0

    def after_epoch(self, epoch: int, validation_error: float) -> None:
        """Update the factor after an epoch.

        Args:
            epoch: number of the finished epoch, from 0.
            validation_error: its error on the validation set; NaN counts as no improvement.
        """
        if isinstance(self._step, Every):
            self.factor = self._step.factor ** ((epoch + 1) // self._step.epochs)
        elif isinstance(self._step, Plateau):
            self._watch(self._step, validation_error)

    def _watch(self, step: Plateau, error: float) -> None:
        if error < self._least:
            self._least, self._waited = error, 0
            return
        self._waited += 1
        if self._waited < step.patience:
            return
        self._waited = 0
        if self._reduced == step.times:
            self.finished = True
        else:
            self._reduced += 1
            self.factor = step.factor**self._reduced

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint as JSON data; ``least`` is None before any error."""
        return {
            "factor": self.factor,
            "finished": self.finished,
            "least": None if math.isinf(self._least) else self._least,
            "waited": self._waited,
            "reduced": self._reduced,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state` returned."""
        self.factor, self.finished = state["factor"], state["finished"]
        self._least = math.inf if state["least"] is None else state["least"]
        self._waited, self._reduced = state["waited"], state["reduced"]


def schedule(recipe: Recipe) -> Schedule:
    """Return the schedule of a recipe."""
    return Schedule(recipe.schedule[0] if recipe.schedule else None)
