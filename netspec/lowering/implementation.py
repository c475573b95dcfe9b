"""The interface of implementations: a problem, and its implementations."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import ClassVar

import torch
from torch import Tensor

from netspec.ir.graph import Graph
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape
from netspec.lowering.plan import Ability

Tensors = Mapping[str, Tensor]
"""The tensors of a stage, by the names of its operator's parameters."""


@dataclass(frozen=True)
class Problem:
    """An operator at its place: the sizes of what it reads, the type, and a batch to expect."""

    op: Operator
    inputs: tuple[Shape, ...]
    dtype: torch.dtype
    batch: int

    @cached_property
    def output(self) -> Shape:
        return self.op.shape(self.inputs)

    @property
    def operations(self) -> int:
        """Multiplications and additions for the batch; those of convolutions and the like."""
        return 2 * self.batch * prod(self.op.macs(self.inputs))

    @property
    def weight_bytes(self) -> int:
        """The bytes of the operator's tensors."""
        parameters = [
            *self.op.parameters(self.inputs).values(),
            *self.op.buffers(self.inputs).values(),
        ]
        return sum(p.elements for p in parameters) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """The least bytes moved: operands and tensors are read once, the result is written once."""
        maps = sum(shape.elements for shape in (*self.inputs, self.output))
        return maps * self.batch * self.dtype.itemsize + self.weight_bytes


def problem_of(graph: Graph, name: str, dtype: torch.dtype, batch: int) -> Problem:
    """Return the work of a stage of a graph."""
    return Problem(graph.stage(name).op, graph.shapes_into(name), dtype, batch)


class Implementation(ABC):
    """One way to compute an operator."""

    name: str
    ability: ClassVar[Ability] = Ability()

    def refuses(self, problem: Problem) -> str:
        """Return why it cannot solve this problem; an empty string if it can."""
        return ""

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        """Return the operator's tensors in the layout of this implementation."""
        return dict(tensors)

    def growth(self, problem: Problem, tensors: Tensors) -> Growth:
        """Return how much the operator enlarges magnitudes, where the backend asks for it."""
        return UNKNOWN

    def domain(self, problem: Problem, growth: Growth) -> float:
        """Return the magnitude of operands up to which it computes what the operator's reference
        does; infinity if it does so for every value, NaN and infinity included."""
        return inf

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        """Return copies of the tensors as they were before :meth:`pack`, to the bit."""
        return {name: tensor.clone() for name, tensor in packed.items()}
