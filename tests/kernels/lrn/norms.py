"""What the tests of LRN share: its attributes, its definition, and how far a kernel may be off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import torch
from torch import Tensor

from tests.kernels import helpers

SLICES = [(0, 0), (2, 3), (3, 5), (8, 16)]
"""Channels before and after an operand, in a larger map."""


@dataclass(frozen=True)
class Norm:
    n: int = 5
    k: float = 2.0
    alpha: float = 0.5
    beta: float = 0.75
    groups: int = 1

    @property
    def attributes(self) -> tuple[int, float, float, float, int]:
        return (self.n, self.k, self.alpha, self.beta, self.groups)


def scale(x: Tensor, norm: Norm) -> Tensor:
    """s, channel by channel."""
    channels = x.shape[3]
    part = channels // norm.groups
    s = []
    for c in range(channels):
        first = max(c // part * part, c - norm.n // 2)
        last = min((c // part + 1) * part - 1, c + norm.n // 2)
        s.append(norm.k + norm.alpha * x[..., first : last + 1].square().sum(3))
    return torch.stack(s, 3) if s else x


def exact(x: Tensor, norm: Norm) -> Tensor:
    return x.double() * scale(x.double(), norm).pow(-norm.beta)


def gradient(x: Tensor, dy: Tensor, norm: Norm) -> Tensor:
    v = x.detach().double().clone().requires_grad_()
    (dx,) = torch.autograd.grad(exact(v, norm), v, dy.double())
    return dx


def allowed(x: Tensor, norm: Norm, dtype: torch.dtype) -> Tensor:
    """How far y may be off.

    s is a sum of n positive products, scaled and shifted: relatively off by (n + 2) u, its power by
    beta times that.  A power takes at most 2 roots of 2 u, each, and 2 products; by logarithms it
    is off by the rounding of -beta log2 s, 2 u times its size.
    """
    y = exact(x, norm)
    terms = terms_of_power(x, norm, norm.beta) + 1
    return helpers.rounding(y, dtype, terms=terms, magnitude=y.abs())


def terms_of_power(x: Tensor, norm: Norm, beta: float) -> int:
    if x.numel() == 0:
        return 0
    logarithm = scale(x.double(), norm).log2().abs().nan_to_num(0, 0, 0)
    return ceil(beta * (norm.n + 2) + 6 + 2 * norm.beta * float(logarithm.max()))


def allowed_backward(x: Tensor, dy: Tensor, dx: Tensor, norm: Norm) -> Tensor:
    """How far dx may be off: each term by what its power is off by, and a sum of n + 1 of them."""
    v, dv = x.double(), dy.double().abs()
    s = scale(v, norm)
    terms = dv * v.abs() * s.pow(-norm.beta - 1)
    sums = (scale(terms.sqrt(), replace(norm, alpha=1.0)) - norm.k).abs()
    magnitude = dv * s.pow(-norm.beta) + 2 * norm.alpha * norm.beta * v.abs() * sums
    count = terms_of_power(x, norm, norm.beta + 1) + norm.n + 5
    return helpers.rounding(dx, x.dtype, terms=count, magnitude=magnitude)
