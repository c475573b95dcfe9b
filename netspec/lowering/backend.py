"""The interface of backends: their implementations, and the execution of plans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import inf
from typing import ClassVar, NamedTuple

from torch import Tensor

from netspec.ir.graph import Graph
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Meaning, Operator, own_meaning
from netspec.lowering.implementation import Implementation, Problem, Tensors
from netspec.lowering.passes import PIPELINE, Pass
from netspec.lowering.plan import Plan


class PackedStage(NamedTuple):
    """A stage of a plan with its implementation and packed tensors, ready to run.

    Attributes:
        growth: how much the operator enlarges magnitudes.
        within: the magnitude of operands up to which what a pass folded into it does not overflow
            in the spec's own order either.
    """

    implementation: Implementation
    problem: Problem
    packed: Tensors
    growth: Growth = UNKNOWN
    within: float = inf


class Timed(NamedTuple):
    """The time that a step took, in seconds."""

    stage: str
    implementation: str
    seconds: float


class Executor(ABC):
    """A plan with its tensors."""

    @abstractmethod
    def __call__(
        self, *images: Tensor, out: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, ...] | None:
        """Return the outputs of the plan, in new memory, or in ``out`` of the right sizes.

        Return None if a value left the range in which the plan computes what the net means: NaN,
        infinity, or a magnitude from which one of them may arise.
        """

    @abstractmethod
    def profile(self, *images: Tensor) -> list[Timed]:
        """Run once; return the time of every step."""


class Backend(ABC):
    """Implementations, and an executor of plans that use them."""

    name: ClassVar[str]
    device: str
    """The device of tensors."""

    passes: ClassVar[Sequence[Pass]] = PIPELINE
    """The passes that make nets faster on it."""

    @abstractmethod
    def implementations(self, problem: Problem) -> Sequence[Implementation]:
        """Return the implementations that can do a problem, the preferred one first."""

    @abstractmethod
    def measure(
        self, problem: Problem, implementations: Sequence[Implementation]
    ) -> dict[str, float]:
        """Return the seconds that each takes for the batch, on operands out of cache."""

    @abstractmethod
    def executor(self, graph: Graph, plan: Plan, stages: Mapping[str, PackedStage]) -> Executor:
        """Return an executor of a plan of a graph."""

    def meaning(self, op: Operator, training: bool) -> Meaning:
        """Return what computes an operator where gradients are needed: by default its reference."""
        return own_meaning(op, training)

    def use(self, kernels: Mapping[str, bytes]) -> None:  # noqa: B027 - not every one has kernels
        """Make kernels available that were compiled ahead; they must be trusted."""
