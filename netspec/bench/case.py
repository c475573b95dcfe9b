"""What is measured: a net at a batch size in a type, with the weights and images of all engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.backends.reference import Model, fresh_tensors
from netspec.compiler import random_images
from netspec.net import Net, load


@dataclass(frozen=True)
class Case:
    """A net, a batch and a type.

    Weights are those of ``netspec.compile(net, dtype=...)``, drawn again by whoever asks for them,
    so that no engine holds those of another.

    Attributes:
        spec: the path or name that the net was loaded from.
        settings: parameters of the net that were set from outside.
        batch: images at once.
        dtype: a name in ``netspec.bench.DTYPES``.
        folder: where engines put files that they are compiled from.
    """

    spec: str
    settings: Mapping[str, str]
    batch: int
    dtype: str
    folder: Path

    @cached_property
    def net(self) -> Net:
        net = load(self.spec, **self.settings)
        net.require_numbers()
        return net

    @property
    def type(self) -> torch.dtype:
        found = getattr(torch, self.dtype)
        assert isinstance(found, torch.dtype)
        return found

    @cached_property
    def images(self) -> list[Tensor]:
        """A batch [N, C, H, W] for each input, contiguous, in the type of the case."""
        return [image.to(self.type) for image in random_images(self.net, batch=self.batch)]

    def weights(self) -> dict[str, Tensor]:
        """The weights by name, in the type of the case; new tensors at each call."""
        return fresh_tensors(self.net, device=torch.device("cpu"), dtype=self.type, seed=0)

    def reference(self, dtype: torch.dtype | None = None) -> Model:
        """The reference with the weights of the case, converted to another type if one is given."""
        tensors = self.weights()
        if dtype is not None:
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        return Model(self.net, tensors)

    def as_json(self) -> dict[str, Any]:
        """What another process makes the same case of."""
        return {
            "spec": self.spec,
            "settings": dict(self.settings),
            "batch": self.batch,
            "dtype": self.dtype,
            "folder": str(self.folder),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Case:
        """The case that :meth:`as_json` described."""
        return Case(**data | {"folder": Path(data["folder"])})
