"""What the tests of backends share: how far rounding may move the outputs of a net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

import netspec
from netspec import Net
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model
from netspec.runtime.verification import as_tuple
from tests.lowering.passes.helpers import random_model

MOST_TERMS = 300
"""In a sum of the random nets."""

RICH = """net rich
input image 9x9x3
a: conv 3x3, 6, pad=1 | bn eps=0.1 | relu | lrn 3, k=1, alpha=0.2 | maxpool 3x3/2
b: concat { conv 1x1, 4 | relu; conv 1x1, 3 | relu | conv 3x3, 5, pad=1; avgpool 1x1 | conv 1x1, 2 }
c: conv 1x1, 3 | tanh | conv 3x3, 3, pad=1, connect=three
d: dropout 0.5 | flatten | fc 10 | tanh
e: dropout 0.5 | fc 4 | softmax
head h from b, weight=0.3: gap | flatten | dropout 0.5 | fc 5

connect three {
    X.X
    XX.
    .XX
}
"""
"""A small net with something for every pass, and every kind of packed parameter."""


def random_tensors(net: Net, dtype: torch.dtype) -> dict[str, Tensor]:
    """Parameters of which no tensor has the value that fresh ones have."""
    return {name: tensor.to(dtype) for name, tensor in random_model(net).state_dict().items()}


def pair(
    net: Net, dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[netspec.Compiled, Model]:
    """A compiled net, and its reference in the same type with the same parameters."""
    model, plain = netspec.compile(net, dtype=dtype, **options), netspec.reference(net, dtype=dtype)
    for one in (model, plain):
        one.load_state_dict(random_tensors(net, dtype))
    return model, plain


class _Rounding(fx.Interpreter):
    """Every parameter and every result is off by a random share of the size of a roundoff."""

    def __init__(self, model: Model, graph: fx.Graph, roundoff: float, seed: int) -> None:
        super().__init__(model, graph=graph)
        self.size = roundoff * MOST_TERMS**0.5
        self.generator = torch.Generator().manual_seed(seed)

    def run_node(self, n: fx.Node) -> Any:
        y = super().run_node(n)
        if not isinstance(y, Tensor) or not y.is_floating_point():
            return y
        return y * (1 + self.size * torch.randn(y.shape, generator=self.generator, dtype=y.dtype))


def assert_rounding_explains(
    outputs: Sequence[Tensor], exact: Model, images: Sequence[Tensor], dtype: torch.dtype
) -> None:
    """Outputs in ``dtype`` are those of the float64 model, but for the rounding of ``dtype``.

    A sum of K products with unit roundoff u is, to first order, the exact sum of products that are
    off by about sqrt(K) u each (Higham and Mary 2019); and so is what an order of operations other
    than the plain one gives.  How far that moves the outputs depends on what cancels behind it, so
    it is tried: every tensor of the float64 model is moved by sqrt(300) u, three times.  The worst
    of three is short of what another draw may give by a factor that is below 4 nearly always; a
    term that is missing, doubled or in the wrong place moves an output by far more.  The constant
    that is added is for outputs that no rounding reaches, such as those behind a dead ReLU.
    """
    roundoff = torch.finfo(dtype).eps / 2
    graph = lower(exact.net.graph)
    with torch.no_grad():
        wanted = as_tuple(exact(*images))
        moved = [
            as_tuple(_Rounding(exact, graph, roundoff, seed).run(*images)) for seed in range(3)
        ]
    assert len(outputs) == len(wanted)
    for i, (y, z) in enumerate(zip(outputs, wanted, strict=True)):
        assert y.dtype == dtype
        assert y.shape == z.shape
        allowed = 4 * max(float((one[i] - z).norm()) for one in moved) + 8 * roundoff * z.norm()
        error = float((y.double() - z).norm())
        assert error <= allowed, f"output {i} is off by {error}, {allowed} allowed"
