"""The parameters of a compiled net, packed for the steps of its plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from netspec.ir.growth import Growth
from netspec.ir.packing import Packing
from netspec.ir.parameter_names import packings
from netspec.lowering.backend import Executor, PackedStage
from netspec.lowering.lowered import Lowered
from netspec.runtime.parameters import Seen


class Copied(dict[str, Tensor]):
    """A dictionary that returns a copy of a tensor at each access, so originals do not change.

    Only one copy at a time is in memory.
    """

    def __init__(
        self, tensors: dict[str, Tensor], dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(tensors)
        self.dtype, self.device = dtype, device

    def __getitem__(self, name: str) -> Tensor:
        tensor = super().__getitem__(name).detach().resolve_neg()
        return tensor.to(self.device, self.dtype, copy=True)


class Packed:
    """Packed tensors by stage, and the tensors that are needed to unpack them.

    Args:
        lowered: the graph and the implementations.
        tensors: the parameters and buffers of the spec; each is removed once it is packed, so that
            two complete copies are never in memory at the same time.
        is_kept: keep the tensors that are needed to unpack; not needed if the caller keeps the
            tensors of the spec.
    """

    def __init__(
        self, lowered: Lowered, tensors: dict[str, Tensor], *, is_kept: bool = True
    ) -> None:
        self.lowered = lowered
        self.packings = {stage: packings(lowered.graph, stage) for stage in lowered.problems}
        self.tensors: dict[str, dict[str, Tensor]] = {}
        self.ranges: dict[str, tuple[Growth, float]] = {}
        """The last two fields of each :class:`PackedStage`: growth, and limit before a fold."""
        uses = Counter(
            name
            for by_parameter in self.packings.values()
            for packing in by_parameter.values()
            for name in packing.names
        )
        unused = {name: tensors[name] for name in tensors if name not in uses}
        self.kept: dict[str, Tensor] = unused if is_kept else {}
        with torch.no_grad():
            for stage in _largest_first(self.packings, tensors):
                by_parameter = self.packings[stage]
                parameters = {key: packing.pack(tensors) for key, packing in by_parameter.items()}
                for key, packing in by_parameter.items():
                    if is_kept:
                        self.kept |= packing.keep(tensors, parameters[key])
                    uses.subtract(packing.names)
                problem = lowered.problems[stage]
                self.ranges[stage] = _ranges(lowered, stage, by_parameter, parameters, tensors)
                self.tensors[stage] = lowered.implementations[stage].pack(problem, parameters)
                for name in {name for packing in by_parameter.values() for name in packing.names}:
                    if not uses[name]:
                        del tensors[name]

    def stages(self) -> dict[str, PackedStage]:
        """Return the stages of the plan with their implementations and packed tensors, by name."""
        lowered = self.lowered
        return {
            stage: PackedStage(
                lowered.implementations[stage], problem, self.tensors[stage], *self.ranges[stage]
            )
            for stage, problem in lowered.problems.items()
        }

    def executor(self) -> Executor:
        """Return the executor of the plan."""
        lowered = self.lowered
        return lowered.backend.executor(lowered.graph, lowered.plan, self.stages())

    def unpacked(self) -> dict[str, Tensor]:
        """Return copies of the parameters and buffers of the spec, equal bit for bit."""
        kept = {name: tensor.clone() for name, tensor in self.kept.items()}
        tensors = dict(kept)
        for stage, problem in self.lowered.problems.items():
            parameters = self.lowered.implementations[stage].unpack(problem, self.tensors[stage])
            for key, packing in self.packings[stage].items():
                tensors |= packing.unpack(parameters[key], kept)
        return tensors

    def executor_of(self, lowered: Lowered, canonical: Callable[[], dict[str, Tensor]]) -> Executor:
        """Return the executor of another lowering of the net, which shares equal packed tensors.

        Args:
            lowered: the other lowering.
            canonical: returns the tensors of the spec; called if a stage must be packed.
        """
        packed_stages: dict[str, PackedStage] = {}
        tensors: dict[str, Tensor] | None = None
        for stage, problem in lowered.problems.items():
            implementation, by_parameter = (
                lowered.implementations[stage],
                packings(lowered.graph, stage),
            )
            is_alike = (
                self.lowered.problems.get(stage) == problem and self.packings[stage] == by_parameter
            )
            if is_alike and self.lowered.implementations[stage].name == implementation.name:
                packed_stages[stage] = PackedStage(
                    implementation, problem, self.tensors[stage], *self.ranges[stage]
                )
                continue
            if by_parameter and tensors is None:
                tensors = canonical()
            parameters = {key: packing.pack(tensors or {}) for key, packing in by_parameter.items()}
            packed_stages[stage] = PackedStage(
                implementation,
                problem,
                implementation.pack(problem, parameters),
                *_ranges(lowered, stage, by_parameter, parameters, tensors or {}),
            )
        return lowered.backend.executor(lowered.graph, lowered.plan, packed_stages)


def _largest_first(
    packings: Mapping[str, Mapping[str, Packing]], tensors: Mapping[str, Tensor]
) -> list[str]:
    """Return the names of stages, those with the largest tensors first.

    A stage's tensors are in memory twice while it is packed, and packed filters may be larger than
    those of the spec.  So the peak of memory is lower if the largest stage is packed first.
    """
    sizes = {name: tensor.nbytes for name, tensor in tensors.items()}

    def size(stage: str) -> int:
        names = {name for packing in packings[stage].values() for name in packing.names}
        return sum(sizes[name] for name in names)

    return sorted(packings, key=size, reverse=True)


def _ranges(
    lowered: Lowered,
    stage: str,
    by_parameter: Mapping[str, Packing],
    parameters: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
) -> tuple[Growth, float]:
    """Return the growth of a stage, and the largest magnitude of its operands for which the spec's
    result before a folded normalisation does not overflow either.

    The folded stage never computes that result, but the spec does: beyond the limit the spec gives
    infinity where the folded stage does not.
    """
    implementation, problem = lowered.implementations[stage], lowered.problems[stage]
    growth = implementation.growth(problem, parameters)
    unfolded = {key: packing.unfolded(tensors) for key, packing in by_parameter.items()}
    first = {key: tensor for key, tensor in unfolded.items() if tensor is not None}
    if not first:
        return growth, inf
    largest = torch.finfo(problem.dtype).max / 2  # the factor of 2 allows for rounding
    return growth, implementation.growth(problem, first).domain(largest)


class State(NamedTuple):
    """Packed parameters, their executor, and the spec's parameters from which they were packed.

    A model replaces it by one assignment, so that another thread, or the model after an error, has
    either the old state or the new one, never a mixture.
    """

    packed: Packed
    executor: Executor
    seen: Seen | None
