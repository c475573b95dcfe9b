"""The interface of backends: implementations, and an executor of plans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import inf
from typing import ClassVar, NamedTuple

from torch import Tensor

from netspec.ir.graph import Graph
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Meaning, Operator, own_meaning
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Implementation, Problem, Tensors
from netspec.lowering.passes import PIPELINE, Pass
from netspec.lowering.plan import Plan


class PackedStage(NamedTuple):
    """A stage of a plan with its implementation and packed tensors, ready to run.

    Attributes:
        growth: the bound of the result's magnitude.
        within: the largest magnitude of operands for which the operators that a pass folded into
            this stage do not overflow either if they are computed one by one, as in the spec.
    """

    implementation: Implementation
    problem: Problem
    packed: Tensors
    growth: Growth = UNKNOWN
    within: float = inf


class Timed(NamedTuple):
    """The time that a step took, in seconds.

    Attributes:
        kept: the bytes of its maps that it did not move to or from memory, because the step runs on
            parts of the batch that stay in the cache.
    """

    stage: str
    implementation: str
    seconds: float
    kept: int = 0


class Executor(ABC):
    """A plan with its parameters, ready to run."""

    @abstractmethod
    def __call__(
        self, *images: Tensor, out: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, ...] | None:
        """Return the outputs of the plan, in new memory or in ``out``, which has the right sizes.

        Return None if a guard found a value for which the plan may compute something else than the
        reference: NaN, infinity, or a magnitude that can lead to one of them.
        """

    @abstractmethod
    def profile(self, *images: Tensor) -> list[Timed]:
        """Run once and return the time of every step."""


class Backend(ABC):
    """The implementations for one kind of device, and an executor of plans."""

    name: ClassVar[str]
    device: str
    """The device of tensors."""

    passes: ClassVar[Sequence[Pass]] = PIPELINE
    """The passes that make nets faster on this backend, in the order of ``PIPELINE``."""

    measures_in_place: ClassVar[bool] = False
    """True if implementations are measured with the places of operands and results in the plan.
    Then the implementations of an operator whose speed depends on its places must have the same
    ability."""

    @abstractmethod
    def implementations(self, problem: Problem) -> Sequence[Implementation]:
        """Return the implementations that can solve a problem, the preferred one first."""

    @abstractmethod
    def measure(self, problem: Problem, implementations: Sequence[Implementation]) -> Outcomes:
        """Return the seconds per batch of each implementation, with operands not in the cache.

        For an implementation that fails, return the reason.
        """

    def known(self, problem: Problem, implementations: Sequence[Implementation]) -> Outcomes:
        """Return the outcomes of :meth:`measure` as far as they are known without measuring."""
        return {}

    @abstractmethod
    def executor(self, graph: Graph, plan: Plan, stages: Mapping[str, PackedStage]) -> Executor:
        """Return an executor of a plan of a graph."""

    def meaning(self, op: Operator, training: bool) -> Meaning:
        """Return the function that computes an operator in training: by default its reference."""
        return own_meaning(op, training)

    def use(self, kernels: Mapping[str, bytes]) -> None:  # noqa: B027 - not every backend has kernels
        """Use kernels that were compiled ahead of time. The caller must trust their source."""
