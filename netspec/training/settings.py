"""The settings of a run: its spec, data and seed, and its changes to the spec's recipe."""

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
    """All that a run depends on, beside the text of its spec and the data; kept in ``run.json``.

    Attributes:
        spec: the path of a ``.net`` file, or a bundled name.
        data: a data set, as :func:`netspec.data.open_data` takes it.
        parameters: of the net, as ``--set`` gives them.
        seed: of weights, order, augmentation and dropout.
        epochs, batch, lr, decay: in place of what the recipe says; None keeps that.
        init: a preset of initial weights, such as ``author``, in place of the recipe's.
        init_from: a run whose weights are taken where name and shape match.
        is_augmented: whether images are augmented as the recipe says.
        workers: processes that load data; 0 loads it between the steps.
        device: ``cpu`` or ``cuda``.
        dtype: ``float32`` or ``float64``, of parameters and activations.
        snapshots: epochs after which the weights are kept; 0 is before the first.
        checkpoint_every: seconds between checkpoints, beside the one at the end of an epoch.
        columns: processes that share one net, as its spec's ``columns`` says; 1 has all of it.
        is_deterministic: whether PyTorch has to refuse what may differ from run to run on a GPU.
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
        """Return settings whose paths lead to the same from any folder."""
        spec = self.spec if is_bundled(self.spec) else str(from_root(self.spec))
        init_from = self.init_from if self.init_from is None else str(from_root(self.init_from))
        return replace(self, spec=spec, data=from_anywhere(self.data), init_from=init_from)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"snapshots": list(self.snapshots)}

    def unreached(self, recipe: Recipe) -> list[str]:
        """Return a note on snapshots after epochs that the recipe does not reach."""
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
            DataError: the spec does not have a recipe.
        """
        recipe = net.recipe
        if recipe is None:
            raise DataError(
                f"{net.name} does not say how it is trained: add `train {{ ... }}` to its spec, "
                "as docs/language.md shows it"
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
    dtype=one_of("float32", "float64"),
    snapshots=many(whole(0)),
    checkpoint_every=number(0),
    columns=whole(1, 1024),
    is_deterministic=TRUTH,
)
"""Settings as :meth:`Settings.as_json` gives them."""


def lr_of(recipe: Recipe) -> float:
    """Return the first learning rate."""
    (step,) = recipe.optimizer
    assert isinstance(step, Sgd)
    return step.lr


def batch_of(recipe: Recipe) -> int:
    """Return the number of images in a step."""
    (step,) = recipe.batch
    assert isinstance(step, Batch)
    return step.size


def epochs_of(recipe: Recipe) -> int:
    """Return the largest number of epochs."""
    (step,) = recipe.epochs
    assert isinstance(step, Epochs)
    return step.count


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as JSON data: steps by directive, each with its name and attributes."""
    names = [directive.name for directive in fields(recipe)]
    return {name: [_step(step) for step in getattr(recipe, name)] for name in names}


def _step(step: RecipeStep | Assigned) -> dict[str, Any]:
    if isinstance(step, Assigned):
        attributes = {} if step.step is None else _step(step.step)
        return attributes | {"rows": list(step.rows)} | ({"from": step.run} if step.run else {})
    names = [attribute.name for attribute in step.attributes()]
    return {"step": step.name} | {name: getattr(step, name) for name in names}
