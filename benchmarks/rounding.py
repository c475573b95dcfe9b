"""The error of a sum of products that rounding explains, element by element."""

from __future__ import annotations

import torch
from torch import Tensor


def rounding(
    exact: Tensor,
    dtype: torch.dtype,
    *,
    terms: int,
    magnitude: Tensor,
    precision: str = "ieee",
) -> Tensor:
    """Return how far a sum of ``terms`` products may be from its exact value.

    A sum of K products, in whatever order, is off by at most K u sum |x_i w_i|, to first order
    (Higham 2002, section 3.1), with ``magnitude`` that sum of absolute values and u the
    accumulator's unit: float64's for float64, float32's for all shorter types, whose products
    float32 holds exactly.  Tensor cores truncate where others round, so u is a whole ulp, eps.
    TF32 keeps 10 bits of each factor and may cut off the others: 2^-10 from each, 2^-9 in all.
    Storing rounds to ``dtype`` once more, by eps / 2 of the value, or half of the smallest
    subnormal where it is smaller.  Bias and activation are one more term each.
    """
    accumulator = torch.float64 if dtype == torch.float64 else torch.float32
    unit = (terms + 2) * torch.finfo(accumulator).eps
    if precision == "tf32":
        unit += 2.0**-9
    info = torch.finfo(dtype)
    # What is summed inexactly is rounded by its own size, hence the magnitude's share in it.
    stored = info.eps / 2 * (exact.abs() + unit * magnitude) + info.smallest_normal * info.eps
    return unit * magnitude + stored


def excess(y: Tensor, exact: Tensor, allowed: Tensor) -> Tensor:
    """Return the error of each element in units of the allowed one.

    It is 0 where both are the same infinity or NaN, and infinite where only one of them is.
    """
    y = y.double()
    is_same = (y == exact) | (y.isnan() & exact.isnan())
    return ((y - exact).abs() / allowed).nan_to_num(torch.inf).masked_fill(is_same, 0.0)
