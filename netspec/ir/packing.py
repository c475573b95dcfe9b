"""Packed parameters: the tensors of a rewritten graph, computed from those of the spec.

A pass may concatenate the filters of several convolutions, or fold a normalisation into them.  A
model is saved and loaded with the tensors of the spec: a :class:`Packing` computes the packed
tensor from them, and restores them from it exactly, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


Tensors = Mapping[str, "Tensor"]


class Packing(ABC):
    """A rule that computes one packed tensor from tensors of the spec."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the tensors of the spec that it packs."""

    @abstractmethod
    def pack(self, tensors: Tensors) -> Tensor:
        """Return the packed tensor; differentiable, and recorded by torch.fx if given proxies."""

    @abstractmethod
    def unpack(self, packed: Tensor, kept: Tensors) -> dict[str, Tensor]:
        """Return the tensors of the spec, bit for bit.

        Args:
            packed: the result of :meth:`pack`.
            kept: the result of :meth:`keep`.
        """

    def keep(self, tensors: Tensors, packed: Tensor) -> dict[str, Tensor]:
        """Return what :meth:`unpack` needs in addition to the packed tensor; by default nothing."""
        return {}

    def unfolded(self, tensors: Tensors) -> Tensor | None:
        """Return the packed tensor without its folded normalisation; None if it has none."""
        return None


@dataclass(frozen=True)
class Take(Packing):
    """One tensor of the spec, unchanged."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def pack(self, tensors: Tensors) -> Tensor:
        return tensors[self.name]

    def unpack(self, packed: Tensor, kept: Tensors) -> dict[str, Tensor]:
        return {self.name: packed}


@dataclass(frozen=True)
class Cat(Packing):
    """Tensors concatenated along their first axis, of lengths ``sizes``."""

    parts: tuple[Packing, ...]
    sizes: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.names)

    def pack(self, tensors: Tensors) -> Tensor:
        import torch

        return torch.cat([part.pack(tensors) for part in self.parts])

    def unpack(self, packed: Tensor, kept: Tensors) -> dict[str, Tensor]:
        split = packed.split_with_sizes(self.sizes)
        tensors: dict[str, Tensor] = {}
        for part, piece in zip(self.parts, split, strict=True):
            tensors |= part.unpack(piece.clone(), kept)  # a view would keep the whole in memory
        return tensors

    def keep(self, tensors: Tensors, packed: Tensor) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}
        for part, piece in zip(self.parts, packed.split_with_sizes(self.sizes), strict=True):
            kept |= part.keep(tensors, piece)
        return kept

    def unfolded(self, tensors: Tensors) -> Tensor | None:
        import torch

        unfolded = [part.unfolded(tensors) for part in self.parts]
        if all(tensor is None for tensor in unfolded):
            return None
        pairs = zip(self.parts, unfolded, strict=True)
        return torch.cat([part.pack(tensors) if t is None else t for part, t in pairs])


@dataclass(frozen=True)
class Scaled(Packing):
    """A tensor times a power of two.

    The product is exact unless it is subnormal.  For such weights the original tensors are kept.
    """

    part: Packing
    factor: float

    @property
    def names(self) -> tuple[str, ...]:
        return self.part.names

    def pack(self, tensors: Tensors) -> Tensor:
        return self.part.pack(tensors) * self.factor

    def unfolded(self, tensors: Tensors) -> Tensor | None:
        unfolded = self.part.unfolded(tensors)
        return None if unfolded is None else unfolded * self.factor

    def keep(self, tensors: Tensors, packed: Tensor) -> dict[str, Tensor]:
        import torch

        w = self.part.pack(tensors)
        if not torch.equal(_as_integers(packed / self.factor), _as_integers(w)):
            return {name: tensors[name] for name in self.names}
        return self.part.keep(tensors, w)

    def unpack(self, packed: Tensor, kept: Tensors) -> dict[str, Tensor]:
        if all(name in kept for name in self.names):
            return {name: kept[name] for name in self.names}
        return self.part.unpack(packed / self.factor, kept)


@dataclass(frozen=True)
class Norm:
    """The names of a batch normalisation's tensors, [channels] each, and its eps."""

    weight: str
    bias: str
    mean: str
    variance: str
    eps: float

    @property
    def names(self) -> tuple[str, ...]:
        return self.weight, self.bias, self.mean, self.variance

    def scale(self, tensors: Tensors) -> Tensor:
        """Return weight / sqrt(variance + eps), [channels], in float64."""
        return tensors[self.weight].double() / (tensors[self.variance].double() + self.eps).sqrt()


@dataclass(frozen=True)
class FoldedWeight(Packing):
    """w[o] s[o], with s = weight / sqrt(variance + eps) of the normalisation after the filters.

    The product is computed in float64 and rounded once.  To restore a weight, the packed number is
    divided by s: the weight is the number nearest to the quotient or, in about one of ten cases,
    the next one on the other side of it.  One bit per weight says which.  A weight that is neither
    (for example, if the scale is zero or the product subnormal) is kept with its index.  If this
    takes more memory than the filters, all filters are kept instead.
    """

    weight: Packing
    norm: Norm

    @property
    def names(self) -> tuple[str, ...]:
        return *self.weight.names, *self.norm.names

    def pack(self, tensors: Tensors) -> Tensor:
        w = self.weight.pack(tensors)
        scale = self.norm.scale(tensors)
        return (w.double() * scale[:, None, None, None]).to(w.dtype)

    def unfolded(self, tensors: Tensors) -> Tensor | None:
        return self.weight.pack(tensors)

    def keep(self, tensors: Tensors, packed: Tensor) -> dict[str, Tensor]:
        w = _as_integers(self.weight.pack(tensors)).flatten()
        kept = {name: tensors[name] for name in self.norm.names}
        nearest, neighbour = self._candidates(packed, kept)
        is_neighbour = w == neighbour
        places = ((w != nearest) & ~is_neighbour).nonzero().flatten()
        values = w[places]
        if places.nbytes + values.nbytes > w.nbytes:
            return kept | {name: tensors[name] for name in self.weight.names}
        corrections = {"bits": _as_bytes(is_neighbour), "places": places, "values": values}
        return kept | {self._key(key): tensor for key, tensor in corrections.items()}

    def unpack(self, packed: Tensor, kept: Tensors) -> dict[str, Tensor]:
        import torch

        tensors = {name: kept[name] for name in self.norm.names}
        if self._key("bits") not in kept:
            return tensors | {name: kept[name] for name in self.weight.names}
        bits, places, values = (kept[self._key(w)] for w in ("bits", "places", "values"))
        nearest, neighbour = self._candidates(packed, kept)
        integers = torch.where(_as_bits(bits, len(nearest)), neighbour, nearest)
        integers[places] = values
        return tensors | self.weight.unpack(integers.view(packed.dtype).view(packed.shape), kept)

    def _key(self, name: str) -> str:
        return f"{self.weight.names[0]}: {name}"

    def _candidates(self, packed: Tensor, kept: Tensors) -> tuple[Tensor, Tensor]:
        """Return the bits of the number nearest to packed / s, and of the next beyond it."""
        quotient = packed.double() / self.norm.scale(kept)[:, None, None, None]
        nearest = quotient.to(packed.dtype)
        integers = _as_integers(nearest)
        steps = 2 * (quotient.abs() > nearest.abs()).to(integers.dtype) - 1
        return integers.flatten(), (integers + steps).flatten()


def _as_integers(x: Tensor) -> Tensor:
    """Return the bits of floating-point numbers as integers.

    Adding 1 to the integer gives the next number away from zero, for both signs.
    """
    import torch

    kinds = {8: torch.int64, 4: torch.int32, 2: torch.int16}
    return x.contiguous().view(kinds[x.dtype.itemsize])


def _as_bytes(bits: Tensor) -> Tensor:
    """Return bools packed eight to a byte, the first in the lowest bit."""
    import torch

    digits = torch.arange(8, dtype=torch.uint8, device=bits.device)
    filled = torch.nn.functional.pad(bits.to(torch.uint8), (0, -len(bits) % 8))
    return (filled.view(-1, 8) << digits).sum(1, dtype=torch.uint8)


def _as_bits(packed: Tensor, count: int) -> Tensor:
    """Return the first ``count`` bools of those that :func:`_as_bytes` packed."""
    import torch

    digits = torch.arange(8, dtype=torch.uint8, device=packed.device)
    return (packed[:, None] >> digits & 1).flatten()[:count].bool()


@dataclass(frozen=True)
class FoldedBias(Packing):
    """(b - mean) s + bias: the bias of a convolution with its normalisation, in float64.

    It has one number per channel, so the original tensors are kept instead of restored.
    """

    bias: Packing | None
    norm: Norm

    @property
    def names(self) -> tuple[str, ...]:
        return *(self.bias.names if self.bias else ()), *self.norm.names

    def pack(self, tensors: Tensors) -> Tensor:
        norm = self.norm
        mean, shift = tensors[norm.mean].double(), tensors[norm.bias]
        centred = -mean if self.bias is None else self.bias.pack(tensors).double() - mean
        return (centred * norm.scale(tensors) + shift.double()).to(shift.dtype)

    def unfolded(self, tensors: Tensors) -> Tensor | None:
        return self.bias.pack(tensors) if self.bias else None

    def keep(self, tensors: Tensors, packed: Tensor) -> dict[str, Tensor]:
        return {name: tensors[name] for name in self.names}

    def unpack(self, packed: Tensor, kept: Tensors) -> dict[str, Tensor]:
        return {name: kept[name] for name in self.names}
