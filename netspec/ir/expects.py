"""The preprocessing that a net expects, and its class names: data saved with its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from netspec.ir.recipe import (
    DIRECTIVES,
    Center,
    Numbers,
    RecipeStep,
    Resize,
    Shorter,
    Subtract,
)
from netspec.ir.shapes import Kernel
from netspec.ir.values import Value, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VIEWS = ("center", "tencrop")
"""The parts of an image that the net is run on: its centre, or ten crops whose outputs are
averaged."""


@dataclass(frozen=True, eq=False)
class Expects:
    """The preprocessing that a net expects of an image, and the names of its classes.

    Attributes:
        prepare: the preprocessing steps in order; None if they are unknown.
        views: one of :data:`VIEWS`.
        classes: the names of the outputs, in their order; empty if they are unknown, and shorter
            than the outputs if the last ones do not have names.
        image: [H, W, C], values 0..255, channels in the order of an image: the image that
            ``subtract mean image`` subtracts; None if there is no such step or it is unknown.
    """

    prepare: tuple[RecipeStep, ...] | None = None
    views: str = VIEWS[0]
    classes: tuple[str, ...] = ()
    image: NDArray[np.float64] | None = None

    @property
    def missing(self) -> tuple[Subtract, ...]:
        """The steps that need statistics of the training set which are not known yet."""
        return tuple(
            step
            for step in self.prepare or ()
            if isinstance(step, Subtract) and (step.over == "channel" or self.image is None)
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data for JSON, without ``image``, which is stored separately."""
        return {
            "prepare": None if self.prepare is None else [step_as_json(s) for s in self.prepare],
            "views": self.views,
            "classes": list(self.classes),
        }

    def __str__(self) -> str:
        """Return the steps as a spec would write them, separated by ``|``."""
        steps = [step_text(step) for step in self.prepare or ()]
        return " | ".join([*steps, *([self.views] if self.views != VIEWS[0] else [])])


class Misplaced(NamedTuple):
    """A step of ``prepare`` that cannot come where it is; ``place`` counts from 0."""

    place: int
    message: str
    help: str


def misplaced(steps: Sequence[RecipeStep]) -> Misplaced | None:
    """Return the first step that cannot come after those before it, or None."""
    values = means = None
    for index, step in enumerate(steps):
        if isinstance(step, Shorter | Resize | Center):
            if values is not None:
                message = (
                    f"`{step.name}` changes the size of images, and is after `{values.name}`, "
                    "which changes values"
                )
                return Misplaced(index, message, "put the steps that change sizes first")
            continue
        values = step
        if isinstance(step, Subtract):
            if means is not None:
                message = "`prepare` subtracts a mean or median twice"
                return Misplaced(index, message, "keep one of the two `subtract`")
            means = step
    return None


def step_as_json(step: RecipeStep) -> dict[str, Any]:
    """Return a step as plain data: its name, and each attribute by name."""
    if isinstance(step, Numbers):
        return {"step": step.name, "numbers": list(step.numbers)}
    return {"step": step.name} | {a.name: _plain(getattr(step, a.name)) for a in step.attributes()}


def step_from_json(data: Mapping[str, Any]) -> RecipeStep:
    """Return the step of ``prepare`` that plain data describes: inverse of :func:`step_as_json`.

    Raises:
        ValueError: the data does not describe a step, or an attribute has a wrong value.
    """
    attributes = {name: value for name, value in data.items() if name != "step"}
    if isinstance(numbers := attributes.pop("numbers", None), list):
        attributes |= dict(zip(("first", "second", "third"), numbers, strict=False))
        if not 1 <= len(numbers) <= 3:
            raise ValueError(f"`{data.get('step')}` takes one to three numbers")
    for kind in DIRECTIVES["prepare"]:
        known = {attribute.name: attribute for attribute in kind.attributes()}
        needed = {name for name, attribute in known.items() if attribute.is_required}
        if kind.name == data.get("step") and needed <= attributes.keys() <= known.keys():
            step = kind(**{n: known[n].kind.read(_value(v)) for n, v in attributes.items()})
            for _, attribute, reason in step.mistakes():
                raise ValueError(f"{attribute} of {kind.name}: {reason}")
            return step
    raise ValueError(f"{dict(data)!r:.200} is not a step of prepare")


def step_text(step: RecipeStep) -> str:
    """Return a step as a spec would write it: ``range low=0, high=1``."""
    words, named = [step.name], []
    for attribute in step.attributes():
        value = getattr(step, attribute.name)
        if value is None or value == attribute.default:
            continue
        if attribute.is_positional:
            shown = _text(value)
            words.append(f"({shown})" if shown.startswith("-") else shown)
        elif attribute.name == "filter":
            words.append(f"with {value}")
        else:
            named.append(f"{attribute.name}={_text(value)}")
    separator = ", " if len(words) > 1 else " "
    return separator.join([" ".join(words), ", ".join(named)]) if named else " ".join(words)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _value(value: Any) -> Value:
    """Return the value of the language for a JSON value; raise ValueError if there is none."""
    match value:
        case bool():  # bool is a subclass of int, and is not a value of a step
            pass
        case int():
            return value
        case float() if value - value == 0:  # finite: inf - inf and NaN - NaN are NaN
            return Fraction(value)
        case str():
            return Word(value)
        case [int(height), int(width)]:
            return Kernel(height, width)
    raise ValueError(f"{value!r:.100} is not a value that a step can have")
