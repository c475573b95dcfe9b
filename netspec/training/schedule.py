"""The schedule of the learning rate."""

from __future__ import annotations

import math
from typing import Any

from netspec.ir.recipe import Every, Plateau, Recipe, RecipeStep


class Schedule:
    """The factor of the learning rate, which changes between epochs.

    - ``plateau``: once the validation error has been no less than the least so far for ``patience``
      epochs, the rate is multiplied by ``factor``; after ``times`` of that, the next plateau ends
      training (AlexNet, section 5: by 10, three times, then stop).
    - ``every N``: the rate is multiplied by ``factor`` every N epochs.
    - without either it stays.

    Attributes:
        factor: of the learning rate, in the epoch to come.
        finished: whether training ends before its last epoch.
    """

    def __init__(self, step: RecipeStep | None) -> None:
        self._step = step
        self.factor = 1.0
        self.finished = False
        self._least = math.inf
        self._waited = 0
        self._reduced = 0

    def after_epoch(self, epoch: int, validation_error: float) -> None:
        """Decide about the next epoch.

        Args:
            epoch: the one that is over, counted from 0.
            validation_error: its share of wrong answers; NaN is no improvement.
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
        """Return the state for a checkpoint, as JSON data; ``least`` is None before any error."""
        return {
            "factor": self.factor,
            "finished": self.finished,
            "least": None if math.isinf(self._least) else self._least,
            "waited": self._waited,
            "reduced": self._reduced,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state` returned."""
        self.factor, self.finished = state["factor"], state["finished"]
        self._least = math.inf if state["least"] is None else state["least"]
        self._waited, self._reduced = state["waited"], state["reduced"]


def schedule(recipe: Recipe) -> Schedule:
    """Return the schedule of a recipe."""
    return Schedule(recipe.schedule[0] if recipe.schedule else None)
