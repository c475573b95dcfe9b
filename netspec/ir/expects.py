"""What a net expects of an image, and what its outputs mean: data that travels with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from netspec.ir.recipe import DIRECTIVES, Numbers, RecipeStep, Subtract
from netspec.ir.shapes import Kernel
from netspec.ir.values import Value, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VIEWS = ("center", "tencrop")
"""What is shown of an image: its centre, or ten crops whose outputs are averaged."""


@dataclass(frozen=True, eq=False)
class Expects:
    """What a net expects of an image, and what its outputs mean.

    Attributes:
        prepare: the steps that an image goes through; None if nobody said them.
        views: one of :data:`VIEWS`.
        classes: a name for each output; empty if nobody said them, and shorter where the last
            outputs have none.
        image: [H, W, C], of values 0..255 in the order of an image's channels: what
            ``subtract mean image`` subtracts.
    """

    prepare: tuple[RecipeStep, ...] | None = None
    views: str = VIEWS[0]
    classes: tuple[str, ...] = ()
    image: NDArray[np.float64] | None = None

    @property
    def missing(self) -> tuple[Subtract, ...]:
        """The steps that subtract what only the statistics of a training set say."""
        return tuple(
            step
            for step in self.prepare or ()
            if isinstance(step, Subtract) and (step.over == "channel" or self.image is None)
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data; ``image`` is stored elsewhere."""
        return {
            "prepare": None if self.prepare is None else [step_as_json(s) for s in self.prepare],
            "views": self.views,
            "classes": list(self.classes),
        }

    def __str__(self) -> str:
        """Return the steps as a spec says them."""
        steps = [step_text(step) for step in self.prepare or ()]
        return " | ".join([*steps, *([self.views] if self.views != VIEWS[0] else [])])


def step_as_json(step: RecipeStep) -> dict[str, Any]:
    """Return a step as plain data: its name, and each of its attributes."""
    if isinstance(step, Numbers):
        return {"step": step.name, "numbers": list(step.numbers)}
    return {"step": step.name} | {a.name: _plain(getattr(step, a.name)) for a in step.attributes()}


def step_from_json(data: Mapping[str, Any]) -> RecipeStep:
    """Return the step of ``prepare`` that plain data describes.

    Raises:
        ValueError: it describes none.
    """
    attributes = {name: value for name, value in data.items() if name != "step"}
    if isinstance(numbers := attributes.pop("numbers", None), list):
        attributes |= dict(zip(("first", "second", "third"), numbers, strict=False))
        if not 1 <= len(numbers) <= 3:
            raise ValueError(f"`{data.get('step')}` has one number, or three")
    for kind in DIRECTIVES["prepare"]:
        known = {attribute.name: attribute for attribute in kind.attributes()}
        needed = {name for name, attribute in known.items() if attribute.is_required}
        if kind.name == data.get("step") and needed <= attributes.keys() <= known.keys():
            step = kind(**{n: known[n].kind.read(_value(v)) for n, v in attributes.items()})
            for _, attribute, reason in step.mistakes():
                raise ValueError(f"{attribute} of {kind.name}: {reason}")
            return step
    raise ValueError(f"there is no step {dict(data)!r:.200}")


def step_text(step: RecipeStep) -> str:
    """Return a step as a spec says it: ``range low=0, high=1``."""
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
    """Return a value of JSON as one of the language."""
    match value:
        case bool():
            pass
        case int():
            return value
        case float() if value - value == 0:
            return Fraction(value)
        case str():
            return Word(value)
        case [int(height), int(width)]:
            return Kernel(height, width)
    raise ValueError(f"{value!r:.100} is not a value of a step")
