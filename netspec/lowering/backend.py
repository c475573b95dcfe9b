"""What a backend is: the implementations it has, and how it runs a plan of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor

from netspec.ir.graph import Graph
from netspec.ir.operator import Meaning, Operator, own_meaning
from netspec.lowering.implementation import Held, Implementation, Work
from netspec.lowering.passes import PIPELINE, Pass
from netspec.lowering.plan import Plan


class Part(NamedTuple):
    """A stage of a plan, ready to run: how, what, and with which packed tensors."""

    way: Implementation
    work: Work
    packed: Held


class Timed(NamedTuple):
    """How long a step took, in seconds."""

    stage: str
    implementation: str
    seconds: float


class Executor(ABC):
    """A plan with its tensors."""

    @abstractmethod
    def __call__(self, *images: Tensor, out: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
        """The outputs of the plan, in new memory, or in ``out`` of the right sizes."""

    @abstractmethod
    def profile(self, *images: Tensor) -> list[Timed]:
        """Run once, and time every step."""


class Backend(ABC):
    """Implementations, and an executor of plans that use them."""

    name: ClassVar[str]
    device: str
    """Where tensors live."""

    passes: ClassVar[Sequence[Pass]] = PIPELINE
    """The rewrites that it gains by."""

    @abstractmethod
    def ways(self, work: Work) -> Sequence[Implementation]:
        """The implementations that can do a piece of work, the preferred one first."""

    @abstractmethod
    def measure(self, work: Work, ways: Sequence[Implementation]) -> dict[str, float]:
        """The seconds that each takes for the batch, on operands out of cache."""

    @abstractmethod
    def executor(self, graph: Graph, plan: Plan, parts: Mapping[str, Part]) -> Executor:
        """What runs a plan of a graph."""

    def meaning(self, op: Operator, training: bool) -> Meaning:
        """What computes an operator where gradients are asked for: its own reference."""
        return own_meaning(op, training)

    def use(self, kernels: Mapping[str, bytes]) -> None:  # noqa: B027 - not every one has kernels
        """Let launches find kernels that were compiled ahead, and can be trusted."""
