"""A case to measure: a net, a batch size and a type, with weights and images for all engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.artifact.manifest import Asked
from netspec.artifact.spec import kept_settings, members_of, reread
from netspec.compiler import backend_of
from netspec.language.definitions import Setting
from netspec.net import Net, load
from netspec.runtime.reference import Model, fresh_tensors
from netspec.runtime.verification import random_images
from netspec.timing.scales import scales

SEED = 0
"""The seed of the random weights."""


@dataclass(frozen=True)
class Case:
    """A net, a batch size, a type and a device.

    Weights are those of ``netspec.compile(net, dtype=...)`` times ``scales``.  They are drawn again
    at each call, so that engines do not share memory.

    Attributes:
        spec: the path or name that the net was loaded from.
        settings: parameters of the net that were set from outside.
        batch: images at once.
        dtype: a name in ``netspec.timing.DTYPES``.
        folder: where engines put files that they are compiled from.
        device: a name in ``netspec.timing.DEVICES``.
        given: the net, if it was not loaded from ``spec``.
    """

    spec: str
    settings: Mapping[str, Setting]
    batch: int
    dtype: str
    folder: Path
    device: str = "cpu"
    given: Net | None = None

    @cached_property
    def net(self) -> Net:
        """The net, without symbols."""
        net = self.given or load(self.spec, **self.settings)
        net.require_numbers()
        return net

    @property
    def type(self) -> torch.dtype:
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    @cached_property
    def torch_device(self) -> torch.device:
        """The device of weights and images; in Triton's interpreter it is a CPU for ``cuda``.

        Raises:
            DataError: the machine does not have the device.
        """
        return torch.device(backend_of(self.device).device)

    @cached_property
    def images(self) -> list[Tensor]:
        """A batch [N, C, H, W] for each input, contiguous, in the type of the case."""
        images = random_images(self.net, batch=self.batch)
        return [image.to(self.torch_device, self.type) for image in images]

    @cached_property
    def sets(self) -> list[list[Tensor]]:
        """The images; on a GPU, with enough copies to fill its L2 cache twice.

        Each call gets the next copy, so that images are read from memory and not from the cache.
        """
        count = 1
        if self.torch_device.type == "cuda":
            cache = torch.cuda.get_device_properties(self.torch_device).L2_cache_size
            count = ceil(2 * cache / sum(image.nbytes for image in self.images))
        return [self.images, *([x.clone() for x in self.images] for _ in range(count - 1))]

    @cached_property
    def scales(self) -> Mapping[str, float]:
        """Factors of the weights by name, from :func:`netspec.timing.scales.scales`."""
        return scales(self.net, SEED)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights by name, in the type of the case; new tensors at each call."""
        drawn = fresh_tensors(self.net, device=self.torch_device, dtype=torch.float32, seed=SEED)
        for name, factor in self.scales.items():
            drawn[name] *= factor
        return {name: tensor.to(self.type) for name, tensor in drawn.items()}

    def reference(self, dtype: torch.dtype | None = None) -> Model:
        """Return the reference with the weights of the case, converted to ``dtype`` if given."""
        tensors = self.weights()
        if dtype is not None:
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        return Model(self.net, tensors)

    def as_json(self) -> dict[str, Any]:
        """Return JSON data from which another process can create the same case.

        It includes the scales: to find them, that process would have to run the net, and its memory
        is measured.
        """
        return {
            "spec": self.spec,
            "settings": dict(self.settings),
            "batch": self.batch,
            "dtype": self.dtype,
            "folder": str(self.folder),
            "device": self.device,
            "scales": dict(self.scales),
            "given": None if self.given is None else _as_json(self.given),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Case:
        """Return the case from the data of :meth:`as_json`."""
        fields = {name: value for name, value in data.items() if name != "scales"}
        given = None if data["given"] is None else _from_json(data["given"])
        case = Case(**fields | {"folder": Path(data["folder"]), "given": given})
        vars(case)["scales"] = data["scales"]
        return case


def _as_json(net: Net) -> dict[str, Any]:
    """Return the texts of a net, from which another process reads it again."""
    texts, asked = members_of(net)
    return {
        "texts": {name: text.decode() for name, text in texts.items()},
        "asked": [[one.by, one.wrote, one.member] for one in asked],
        "settings": kept_settings(net.settings),
        "has_heads": net.has_heads,
    }


def _from_json(data: dict[str, Any]) -> Net:
    """Return the net that :func:`_as_json` described."""
    texts = {name: text.encode() for name, text in data["texts"].items()}
    net = reread(texts, [Asked(*request) for request in data["asked"]], data["settings"])
    return net if data["has_heads"] else net.without_heads()
