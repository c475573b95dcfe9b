"""The interface of implementations, and the problems that they solve."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from netspec.ir.graph import Graph
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape
from netspec.lowering.plan import Ability

Tensors = Mapping[str, Tensor]
"""The tensors of a stage by the parameter names of its operator."""


class Place(NamedTuple):
    """The channels of a value in a buffer: ``channels`` from ``start`` of ``width``."""

    channels: int
    start: int
    width: int

    @property
    def is_whole(self) -> bool:
        return self.channels == self.width


@dataclass(frozen=True)
class Places:
    """The places of the operands of a step, and of its result or of each slice of its result."""

    reads: tuple[Place, ...]
    writes: tuple[Place, ...]


@dataclass(frozen=True)
class Problem:
    """An operator in a net: the sizes of its operands, the type, and the expected batch size.

    ``places`` are those of its step in a plan; None if each operand and the result have buffers of
    their own.
    """

    op: Operator
    inputs: tuple[Shape, ...]
    dtype: torch.dtype
    batch: int
    places: Places | None = None

    @cached_property
    def output(self) -> Shape:
        return self.op.shape(self.inputs)

    @property
    def operations(self) -> int:
        """Return the multiplications and additions per batch that count as multiply-accumulates."""
        return 2 * self.batch * prod(self.op.macs(self.inputs))

    @property
    def weight_bytes(self) -> int:
        """Return the size of the operator's parameters and buffers in bytes."""
        parameters = [
            *self.op.parameters(self.inputs).values(),
            *self.op.buffers(self.inputs).values(),
        ]
        return sum(p.elements for p in parameters) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """Return the minimum traffic in bytes: each operand and parameter read once, the result
        written once."""
        maps = sum(shape.elements for shape in (*self.inputs, self.output))
        return maps * self.batch * self.dtype.itemsize + self.weight_bytes


def problem_of(graph: Graph, name: str, dtype: torch.dtype, batch: int) -> Problem:
    """Return the problem of a stage of a graph."""
    return Problem(graph.stage(name).op, graph.shapes_into(name), dtype, batch)


class Implementation(ABC):
    """One way to compute an operator."""

    name: str
    is_exact: ClassVar[bool] = True
    """False if its rounding errors are larger than those of sums of products."""
    ability: ClassVar[Ability] = Ability()

    def refuses(self, problem: Problem) -> str:
        """Return the reason why it cannot solve this problem, or "" if it can."""
        return ""

    def operations(self, problem: Problem) -> float:
        """Return the multiplications and additions per batch that it needs.

        Fewer than ``problem.operations`` if it saves some.  Work that is small in comparison with
        the products, such as Winograd's transforms, is not counted.
        """
        return problem.operations

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        """Return the operator's tensors in the layout of this implementation."""
        return dict(tensors)

    def growth(self, problem: Problem, tensors: Tensors) -> Growth:
        """Return the bound of the result's magnitude. Only backends with guards call this."""
        return UNKNOWN

    def domain(self, problem: Problem, growth: Growth) -> float:
        """Return the largest magnitude of operands for which it computes the same as the reference.

        Infinity means: for every value, including NaN and infinity.
        """
        return inf

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        """Return copies of the tensors as they were before :meth:`pack`, bit for bit."""
        return {name: tensor.clone() for name, tensor in packed.items()}
