"""Definition of a comparison: arms that differ in one property, and the measures of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netspec.errors import DataError

BEDS = {
    "digits": "lenet5_arms",
    "mnist": "lenet5_arms",
    "cifar10": "cifar4_arms",
    "cifar100": "cifar4_arms",
    "images": "alexnet_arms",
    "shards": "alexnet_arms",
}
"""The net for each kind of data: the name of its spec in ``netspec/comparing/nets``."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the nets of a comparison, given by its differences from the others.

    Attributes:
        name: name of the arm.
        parameters: parameters of the net, as text of a spec.
        base: name of a spec in ``nets/`` or of a bundled one, instead of the net for the data.
        changes: statements of a variant, such as ``drop C3``.
        training: changes to :class:`netspec.training.settings.Settings`.
        begins_with: name of another arm; its weights are copied where name and shape match.
        is_tencrop: True to test on ten crops instead of the centre.
        shares: name of another arm; its trained nets are used, and only the test differs.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    changes: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    begins_with: str = ""
    is_tencrop: bool = False
    shares: str = ""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure of a finished run.

    Attributes:
        kind: ``test`` or ``training`` error; ``gap``, test error minus training error; ``steps``
            or ``steps_test``, steps until the training or test error is at most ``level``.
        level: error in percent.
    """

    kind: str
    level: float = 0.0

    @property
    def name(self) -> str:
        """Name for tables and results."""
        match self.kind:
            case "test" | "training":
                return f"{self.kind} error"
            case "gap":
                return "gap between the two"
            case "steps":
                return f"steps to {self.level:g} % training error"
            case _:
                return f"steps to {self.level:g} % test error"

    @property
    def unit(self) -> str:
        return "steps" if self.kind.startswith("steps") else "%"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A comparison in the paper.

    Attributes:
        name: its name on the command line.
        title: its heading.
        source: the section of the paper.
        says: the result that the paper reports.
        arms: the arms for each net (a value of :data:`BEDS`); each is compared with the first.
        measures: what is measured; the chart shows the first.
        factors: factors of the recipe's learning rate, of which each arm uses the best one.
        note: how a smaller net that replaces the paper's net differs from it.
    """

    name: str
    title: str
    source: str
    says: str
    arms: Mapping[str, tuple[Arm, ...]]
    measures: tuple[Measure, ...]
    factors: tuple[float, ...] = ()
    note: Mapping[str, str] = field(default_factory=dict)

    def arms_for(self, data: str) -> tuple[str, tuple[Arm, ...]]:
        """Return the net and the arms for a data set.

        Raises:
            DataError: if the comparison does not have a net for this kind of data.
        """
        bed = BEDS.get(data.partition(":")[0], "")
        if bed not in self.arms:
            able = [kind for kind, net in BEDS.items() if net in self.arms]
            raise DataError(
                f"{self.name} does not support the data {data!r}: use one of {', '.join(able)}"
            )
        return bed, self.arms[bed]


def everywhere(*arms: Arm) -> dict[str, tuple[Arm, ...]]:
    """Return the same arms for every net."""
    return dict.fromkeys(BEDS.values(), arms)
