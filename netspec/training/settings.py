"""The settings of a run: spec, data, seed, and changes to the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from netspec.data.files import from_root
from netspec.data.opening import from_anywhere
from netspec.errors import DataError
from netspec.files.members import (
    SCALAR,
    TRUTH,
    Kind,
    many,
    matching,
    number,
    one_of,
    optional,
    record,
    table,
    text,
    whole,
)
from netspec.ir.recipe import Assigned, Batch, Epochs, Recipe, RecipeStep, Sgd
from netspec.ir.words import counted, plural
from netspec.language.read import is_bundled
from netspec.net import Net


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run, stored in ``run.json``.

    With the text of the spec and the data, they determine the run.

    Attributes:
        spec: path of a ``.net`` file, or the name of a bundled spec.
        data: name of a data set, as for :func:`netspec.data.open_data`.
        parameters: parameters of the net, as set by ``--set``.
        seed: seed of weights, order of examples, augmentation and dropout.
        epochs, batch, lr, decay: values that replace those of the recipe; None keeps the recipe's.
        init: preset of initial weights, such as ``author``, which replaces the recipe's.
        init_from: path of a run; its weights are copied where name and shape match.
        is_augmented: True to augment images as the recipe says.
        workers: number of processes that load data; 0 loads it in the training process.
        device: ``cpu`` or ``cuda``.
        dtype: type of parameters and activations, ``float32`` or ``float64``.
        snapshots: epochs after which the weights are saved; 0 saves the initial weights.
        checkpoint_every: seconds between checkpoints; each epoch also ends with one.
        columns: number of processes that share one net (``columns`` in its spec); 1 if each
            process has the whole net.
        is_deterministic: True to make PyTorch raise an error for nondeterministic operations.
    """

    spec: str
    data: str
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    seed: int = 0
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    decay: float | None = None
    init: str | None = None
    init_from: str | None = None
    is_augmented: bool = True
    workers: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    snapshots: tuple[int, ...] = ()
    checkpoint_every: float = 300.0
    columns: int = 1
    is_deterministic: bool = False

    def from_anywhere(self) -> Settings:
        """Return the settings with absolute paths, so that they are valid in any folder."""
        spec = self.spec if is_bundled(self.spec) else str(from_root(self.spec))
        init_from = self.init_from if self.init_from is None else str(from_root(self.init_from))
        return replace(self, spec=spec, data=from_anywhere(self.data), init_from=init_from)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON data."""
        return asdict(self) | {"snapshots": list(self.snapshots)}

    def unreached(self, recipe: Recipe) -> list[str]:
        """Return a note on requested snapshots that are after the last epoch of the recipe."""
        epochs = epochs_of(recipe)
        late = [str(epoch) for epoch in self.snapshots if epoch > epochs]
        if not late:
            return []
        return [
            f"no snapshot is written after {plural('epoch', len(late))} {', '.join(late)}: the run "
            f"has {counted(epochs, 'epoch')}"
        ]

    def recipe(self, net: Net) -> Recipe:
        """Return the recipe of a net with the changes of these settings.

        Raises:
            DataError: if the spec does not have a recipe.
        """
        recipe = net.recipe
        if recipe is None:
            raise DataError(
                f"{net.name} does not have a training recipe: add `train {{ ... }}` to its spec, "
                "as shown in docs/language.md"
            )
        (optimizer,) = recipe.optimizer
        assert isinstance(optimizer, Sgd)
        return replace(
            recipe,
            augment=recipe.augment if self.is_augmented else [],
            optimizer=[
                replace(
                    optimizer,
                    lr=optimizer.lr if self.lr is None else self.lr,
                    decay=optimizer.decay if self.decay is None else self.decay,
                )
            ],
            batch=recipe.batch if self.batch is None else [Batch(size=self.batch)],
            epochs=recipe.epochs if self.epochs is None else [Epochs(count=self.epochs)],
        )


DTYPES = ("float32", "float64")
"""The types that a net is trained in."""

_POSITIVE = number(0).where(lambda value: value > 0, "a number above 0")

SETTINGS: Kind[Settings] = record(
    Settings,
    spec=text(),
    data=text(),
    parameters=table(SCALAR),
    seed=whole(0),
    epochs=optional(whole(1)),
    batch=optional(whole(1)),
    lr=optional(_POSITIVE),
    decay=optional(number(0)),
    init=optional(text()),
    init_from=optional(text()),
    is_augmented=TRUTH,
    workers=whole(0, 1024),
    device=matching("cpu|cuda(:[0-9]{1,4})?", "`cpu` or `cuda`"),
    dtype=one_of(*DTYPES),
    snapshots=many(whole(0)),
    checkpoint_every=number(0),
    columns=whole(1, 1024),
    is_deterministic=TRUTH,
)
"""The format of settings that :meth:`Settings.as_json` returns."""


def lr_of(recipe: Recipe) -> float:
    """Return the initial learning rate."""
    (step,) = recipe.optimizer
    assert isinstance(step, Sgd)
    return step.lr


def batch_of(recipe: Recipe) -> int:
    """Return the number of images per step."""
    (step,) = recipe.batch
    assert isinstance(step, Batch)
    return step.size


def epochs_of(recipe: Recipe) -> int:
    """Return the maximum number of epochs."""
    (step,) = recipe.epochs
    assert isinstance(step, Epochs)
    return step.count


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as JSON data: lists of steps by directive, with names and attributes."""
    names = [directive.name for directive in fields(recipe)]
    return {name: [_step(step) for step in getattr(recipe, name)] for name in names}


def _step(step: RecipeStep | Assigned) -> dict[str, Any]:
    if isinstance(step, Assigned):
        attributes = {} if step.step is None else _step(step.step)
        return attributes | {"rows": list(step.rows)} | ({"from": step.run} if step.run else {})
    names = [attribute.name for attribute in step.attributes()]
    return {"step": step.name} | {name: getattr(step, name) for name in names}
