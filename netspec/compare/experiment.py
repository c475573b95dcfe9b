"""A comparison: arms that differ in one thing, and the measures of each."""

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
"""The net that a kind of data is learned by: its spec in ``netspec/compare/nets``."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A net of a comparison, as it differs from the others.

    Attributes:
        name: of the arm.
        parameters: of the net, as a spec writes them.
        base: a spec in ``nets/`` or a bundled one, in place of the one for the data.
        changes: statements of a variant, such as ``drop C3``.
        training: what differs in :class:`netspec.training.settings.Settings`.
        begins_with: another arm, whose weights it begins with where name and shape match.
        is_tencrop: whether it is tested on ten crops in place of the centre.
        shares: another arm whose training this is as well, where only the test differs.
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
        kind: ``test`` or ``training`` error; ``gap``, the first less the second; ``steps`` until
            the training error, or ``steps_test`` until the test error, is no more than ``level``.
        level: in percent.
    """

    kind: str
    level: float = 0.0

    @property
    def name(self) -> str:
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
    """A comparison of the paper.

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
            DataError: the comparison does not have a net for such data.
        """
        bed = BEDS.get(data.partition(":")[0], "")
        if bed not in self.arms:
            able = [kind for kind, net in BEDS.items() if net in self.arms]
            raise DataError(f"{self.name} is not for {data!r}: it has nets for {', '.join(able)}")
        return bed, self.arms[bed]


def everywhere(*arms: Arm) -> dict[str, tuple[Arm, ...]]:
    """Return the same arms for every net."""
    return dict.fromkeys(BEDS.values(), arms)
