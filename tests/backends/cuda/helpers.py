"""What the tests of the CUDA backend share: nets with random parameters, and what is exact."""

from __future__ import annotations

import torch
from torch import Tensor

import netspec
from netspec import Net
from netspec.runtime.compiled import Compiled
from netspec.runtime.reference import Model
from netspec.runtime.verification import as_tuple, random_images
from tests.helpers import load_rows
from tests.kernels.helpers import DEVICE, ON_GPU

__all__ = ["DEVICE", "MAP", "ON_GPU", "TABLE", "assert_exact", "both", "load_rows", "outputs"]

TABLE = "connect t {\n    X..X\n    XX..\n    .XX.\n    ..XX\n    X.X.\n}\n"
MAP = "net example\ninput image 7x9x5\n"


def both(net: Net, **how: object) -> tuple[Compiled, Model]:
    """A net compiled for cuda in float64, and its meaning, with the same random parameters."""
    exact = netspec.reference(net, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in exact.state_dict().items():
            tensor.normal_(generator=generator)
            if name.endswith("running_var"):
                tensor.exp_()
    model = netspec.compile(net, device="cuda", dtype=torch.float64, **how)  # type: ignore[arg-type]
    model.load_state_dict(exact.state_dict())
    return model, exact


def outputs(model: Compiled | Model, images: list[Tensor]) -> list[Tensor]:
    """What a model gives, on the CPU."""
    device = DEVICE if isinstance(model, Compiled) else torch.device("cpu")
    with torch.no_grad():
        return [y.cpu() for y in as_tuple(model(*(image.to(device) for image in images)))]


def assert_exact(model: Compiled, exact: Model, batch: int = 3) -> None:
    """The outputs are equal up to the order of float64 operations.

    The tests add at most some hundred products of size one in a layer, in one or two layers: an
    error of 1e-16 a term, relative to the largest output, stays below 1e-12.
    """
    images = random_images(model.net, batch=batch)
    for y, wanted in zip(outputs(model, images), outputs(exact, images), strict=True):
        assert y.shape == wanted.shape
        assert float((y - wanted).abs().max() / wanted.abs().max()) < 1e-12
