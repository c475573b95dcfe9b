"""Base classes of the implementations that call oneDNN: refusals, and packing of weights."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from threading import Lock, RLock

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from netspec.backends.cpu.implementation import Call, CpuImplementation, required, safe_domain
from netspec.backends.cpu.onednn.layouts import TYPES, Layout, Query, activations, any_layout, rows
from netspec.backends.cpu.onednn.library import NoImplementationError, missing, share_threads
from netspec.backends.cpu.onednn.primitives import (
    Argument,
    Description,
    Memory,
    launch,
    reorder,
)
from netspec.backends.cpu.pages import PAGES
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.growth import Growth
from netspec.ir.shapes import LARGEST_SIZE
from netspec.lowering.implementation import Problem, Tensors
from netspec.runtime.gate import address


class Direct(CpuImplementation):
    """An implementation by primitives of oneDNN.

    It refuses problems for which the library has only its slow reference implementation.
    """

    name = "onednn"

    def refuses(self, problem: Problem) -> str:
        if missing():
            return missing()
        if problem.dtype not in TYPES:
            return f"oneDNN does not compute this operator in {problem.dtype}"
        if _largest(problem) > LARGEST_SIZE:  # the library cuts off bits, and may divide by zero
            return f"oneDNN does not compute tensors with more than {LARGEST_SIZE:,} elements"
        return self.lacks(problem) or _refusal(self, problem)

    def lacks(self, problem: Problem) -> str:
        """Return the reason not to use a primitive that the library accepts, or ""."""
        return ""

    def domain(self, problem: Problem, growth: Growth) -> float:
        return safe_domain(problem, growth)

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        return {name: copied(tensor) for name, tensor in required(problem, tensors).items()}

    @abstractmethod
    def describe(self, problem: Problem) -> None:
        """Create the descriptions of its primitives, to see if the library has them.

        Raises:
            NoImplementationError: the library does not have one of them.
        """


def require_kept(tensor: object, name: str, sizes: Sequence[int], dtype: torch.dtype) -> None:
    """Check a packed tensor that ``unpack`` needs and no primitive reads.

    Raises:
        TypeError, ValueError: it is not contiguous, or has other sizes or another type.
    """
    address(tensor, name, dtype, rows(sizes, dtype).axes)


def copied(tensor: Tensor) -> Tensor:
    """Return a contiguous copy, in memory that no other tensor shares.

    The address of the copy is passed to the library, so nobody else may change, move or free it.
    """
    return PAGES.empty(tuple(tensor.shape), tensor.dtype).copy_(tensor)


def _largest(problem: Problem) -> int:
    """Return the elements of the largest parameter or map of an image."""
    parameters = problem.op.parameters(problem.inputs).values()
    maps = (shape.elements for shape in (*problem.inputs, problem.output))
    return max(*maps, *(parameter.elements for parameter in parameters))


@cache
def _refusal(implementation: Direct, problem: Problem) -> str:
    share_threads()
    try:
        implementation.describe(problem)
    except NoImplementationError as error:
        return str(error)
    return ""


class Multiplying(Direct):
    """act(w x + b), or act(w * x + b), with weights in the library's preferred blocked layout."""

    def describe(self, problem: Problem) -> None:
        _packed_layout(self, problem)

    @abstractmethod
    def described(self, problem: Problem, weights: Layout) -> Description:
        """Return the description of the primitive for weights in a layout."""

    @abstractmethod
    def sizes(self, problem: Problem) -> tuple[int, ...]:
        """Return the sizes of the weights as the library takes them."""

    def preferred(self, problem: Problem) -> Layout:
        """Return the layout to ask the library for."""
        return any_layout(self.sizes(problem), problem.dtype)

    def source(self, problem: Problem) -> Layout:
        """Return the layout of the operand."""
        return activations(problem.batch, problem.inputs[0], problem.dtype)

    def dense(self, problem: Problem, weight: Tensor) -> Tensor:
        """Return the operator's weight with zeros where there is no connection."""
        return weight

    def sparse(self, problem: Problem, weight: Tensor) -> Tensor:
        """Return a dense weight without the zeros that ``dense`` added: the inverse of it."""
        return weight

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        checked, sizes = required(problem, tensors), self.sizes(problem)
        dense = self.dense(problem, checked["weight"]).contiguous().view(sizes)
        plain, packed = rows(sizes, problem.dtype), _packed_layout(self, problem)
        weight = _reordered(dense, plain, packed, _pages_for(packed, problem.dtype))
        return {name: weight if name == "weight" else copied(t) for name, t in checked.items()}

    def require_packed(self, problem: Problem, packed: Tensors) -> None:
        """Check nothing here: all tensors are bound, and ``Memory`` checks their layouts."""

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        sizes = self.sizes(problem)
        y = torch.empty(sizes, dtype=problem.dtype, device="cpu")
        dense = _reordered(
            packed["weight"], _packed_layout(self, problem), rows(sizes, problem.dtype), y
        )
        tensors = {name: tensor.clone() for name, tensor in packed.items()}
        return tensors | {"weight": self.sparse(problem, dense.view(self.dense_shape(problem)))}

    @abstractmethod
    def dense_shape(self, problem: Problem) -> tuple[int, ...]:
        """Return the sizes of the dense weight as the operator has them."""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        here = replace(problem, batch=len(y))
        description = self.fitting(problem, here)
        memories = [
            (Argument.SOURCE, Memory(self.source(here), x[0])),
            (Argument.DESTINATION, Memory(activations(here.batch, here.output, here.dtype), y)),
            *self.weights(description, problem, packed),
        ]
        if len(x) == 2:
            layout = activations(here.batch, here.inputs[1], here.dtype)
            memories.append((Argument.FIRST_POST_OP, Memory(layout, x[1])))
        return [launch(description, memories, scratch)]

    def fitting(self, problem: Problem, here: Problem) -> Description:
        """Return the description of a problem for weights that were packed for another one.

        The library prefers another layout for some sizes, and may not accept the packed one: the
        description then has the layout that it prefers.

        Args:
            problem: for which the weights were packed.
            here: the problem, with the same weights.
        """
        return _fitting(self, problem, here, share_threads())

    def weights(
        self, description: Description, problem: Problem, packed: Tensors
    ) -> list[tuple[Argument, Memory]]:
        """Return the packed weights and bias as memories, in the layout of a description."""
        weight, layout = packed["weight"], _packed_layout(self, problem)
        theirs = description.layout(Query.WEIGHTS)
        if theirs != layout:
            weight, layout = _copies.of(weight, layout, theirs), theirs
        memories = [(Argument.WEIGHTS, Memory(layout, weight))]
        if "bias" in packed:
            sizes = (problem.output.channels,)
            memories.append((Argument.BIAS, Memory(rows(sizes, problem.dtype), packed["bias"])))
        return memories


class _Copies:
    """Copies of packed weights in other layouts, each for all bound plans that read it.

    A copy is freed with the last of them.  One is made at a time: another thread that binds waits.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._of: MutableMapping[Tensor, list[tuple[Layout, weakref.ref[Tensor]]]]
        self._of = WeakIdKeyDictionary()
        """For each packed weight: its copies, by layout."""

    def of(self, weight: Tensor, source: Layout, destination: Layout) -> Tensor:
        """Return a weight in another layout, a copy that may be used already."""
        with self._lock:
            copies = self._of.setdefault(weight, [])
            for layout, reference in copies:
                copy = reference()
                if copy is not None and layout == destination:
                    return copy
            copies[:] = [pair for pair in copies if pair[1]() is not None]
            y = _pages_for(destination, destination.dtype)
            copy = _reordered(weight, source, destination, y)
            copies.append((destination, weakref.ref(copy)))
            return copy


_copies = _Copies()


@lru_cache(512)
def _fitting(
    implementation: Multiplying, problem: Problem, here: Problem, threads: int
) -> Description:
    """Return a description that all stages with an equal problem share.

    A primitive is created for one number of threads, so ``threads`` is part of the key.  Keeping
    descriptions takes little memory: the library keeps the code of as many primitives itself.
    """
    try:
        return implementation.described(here, _packed_layout(implementation, problem))
    except NoImplementationError:
        return implementation.described(here, implementation.preferred(here))


def _packed_layout(implementation: Multiplying, problem: Problem) -> Layout:
    """Return the layout of the packed weights of a problem.

    The library's choice depends on the number of threads.  So the layout is chosen once and then
    kept: weights must be read in the layout in which they were packed, in every thread.
    """
    with _choosing:
        return _chosen_layout(implementation, problem)


_choosing = RLock()
"""``functools.cache`` may call its function twice if two threads miss at the same time, and the two
calls could choose different layouts."""


@cache
def _chosen_layout(implementation: Multiplying, problem: Problem) -> Layout:
    share_threads()
    return implementation.described(problem, implementation.preferred(problem)).layout(
        Query.WEIGHTS
    )


def _reordered(tensor: Tensor, source: Layout, destination: Layout, y: Tensor) -> Tensor:
    """Copy a tensor into another layout; return the copy."""
    reorder(tensor, source, y, destination)
    return y


def _pages_for(layout: Layout, dtype: torch.dtype) -> Tensor:
    """Return memory for weights, in huge pages where possible."""
    return PAGES.empty((layout.bytes // dtype.itemsize,), dtype)
