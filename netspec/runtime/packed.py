"""The parameters of a compiled net, packed as the steps of its plan want them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from netspec.ir.parameters import recipes
from netspec.lowering.backend import Executor, Part
from netspec.lowering.lowered import Lowered
from netspec.runtime.parameters import Seen


class Copied(dict[str, Tensor]):
    """Tensors that are copied, one by one, as they are looked up: for what stays another's."""

    def __init__(
        self, tensors: dict[str, Tensor], dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(tensors)
        self.dtype, self.device = dtype, device

    def __getitem__(self, name: str) -> Tensor:
        tensor = super().__getitem__(name).detach().resolve_neg()
        return tensor.to(self.device, self.dtype, copy=True)


class Packed:
    """Packed tensors by stage, and what has to be kept to unpack them.

    Args:
        lowered: the graph and the implementations.
        tensors: the parameters and buffers of the spec; each is dropped once it is packed, so that
            the two copies are never whole at the same time.
        is_kept: whether what unpacking takes is kept; not by who holds the tensors of the spec.
    """

    def __init__(
        self, lowered: Lowered, tensors: dict[str, Tensor], *, is_kept: bool = True
    ) -> None:
        self.lowered = lowered
        self.recipes = {stage: recipes(lowered.graph, stage) for stage in lowered.works}
        self.tensors: dict[str, dict[str, Tensor]] = {}
        uses = Counter(
            name for made in self.recipes.values() for r in made.values() for name in r.names
        )
        rest = {name: tensors[name] for name in tensors if name not in uses}
        self.kept: dict[str, Tensor] = rest if is_kept else {}
        with torch.no_grad():
            for stage, made in self.recipes.items():
                held = {key: recipe.pack(tensors) for key, recipe in made.items()}
                for key, recipe in made.items():
                    if is_kept:
                        self.kept |= recipe.keep(tensors, held[key])
                    uses.subtract(recipe.names)
                work = lowered.works[stage]
                self.tensors[stage] = lowered.ways[stage].pack(work, held)
                for name in {name for recipe in made.values() for name in recipe.names}:
                    if not uses[name]:
                        del tensors[name]

    def parts(self) -> dict[str, Part]:
        """Every stage that computes, ready to run."""
        made = self.lowered
        return {
            stage: Part(made.ways[stage], work, self.tensors[stage])
            for stage, work in made.works.items()
        }

    def executor(self) -> Executor:
        """What runs the plan."""
        made = self.lowered
        return made.backend.executor(made.graph, made.plan, self.parts())

    def unpacked(self) -> dict[str, Tensor]:
        """Copies of the parameters and buffers of the spec, to the bit."""
        kept = {name: tensor.clone() for name, tensor in self.kept.items()}
        found = dict(kept)
        for stage, work in self.lowered.works.items():
            held = self.lowered.ways[stage].unpack(work, self.tensors[stage])
            for key, recipe in self.recipes[stage].items():
                found |= recipe.unpack(held[key], kept)
        return found

    def executor_of(self, other: Lowered, canonical: Callable[[], dict[str, Tensor]]) -> Executor:
        """The same for another lowering of the net: tensors are shared where they are alike."""
        found: dict[str, Part] = {}
        tensors: dict[str, Tensor] | None = None
        for stage, work in other.works.items():
            way, made = other.ways[stage], recipes(other.graph, stage)
            is_alike = self.lowered.works.get(stage) == work and self.recipes[stage] == made
            if is_alike and self.lowered.ways[stage].name == way.name:
                found[stage] = Part(way, work, self.tensors[stage])
                continue
            if made and tensors is None:
                tensors = canonical()
            held = {key: recipe.pack(tensors or {}) for key, recipe in made.items()}
            found[stage] = Part(way, work, way.pack(work, held))
        return other.backend.executor(other.graph, other.plan, found)


class State(NamedTuple):
    """Packed parameters, what runs on them, and which parameters of the spec they were made of.

    A model replaces it as a whole: whatever is raised, and whoever runs meanwhile, the old one or
    the new one counts.
    """

    packed: Packed
    executor: Executor
    seen: Seen | None
