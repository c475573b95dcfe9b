"""Values that are not finite: which tensor has the first, where, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.members import shown


def is_finite(tensor: Tensor) -> bool:
    """Return whether a tensor holds neither NaN nor infinity.

    The least and the largest value tell, as NaN passes through both; that takes one pass and no
    memory.
    """
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    wide = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # no kernels for eight bits
    return all(bool(value.isfinite()) for value in torch.aminmax(wide.detach()))


def first_not_finite(tensors: Mapping[str, Tensor]) -> str:
    """Return which tensor is not finite, where first, and in how many values; nothing if all are.

    For example: ``C.bias is NaN at [0], and 6 of its 6 values are NaN or infinite``.
    """
    for name, tensor in tensors.items():
        if is_finite(tensor):
            continue
        wide = tensor.detach().float() if tensor.dtype.itemsize == 1 else tensor.detach()
        places = (~wide.isfinite()).nonzero()
        first = tuple(places[0].tolist())
        kind = "NaN" if bool(wide[first].isnan()) else "infinite"
        return (
            f"{shown(name)} is {kind} at {list(first)}, and {len(places):,} of its "
            f"{tensor.numel():,} values are NaN or infinite"
        )
    return ""


def require_finite_to_save(tensors: Mapping[str, Tensor], name: str) -> None:
    """Raise DataError if a tensor of a model is not finite, as its file could not be loaded."""
    problem = first_not_finite(tensors)
    if problem:
        raise DataError(
            f"the weights of {name} are not saved, as they are not finite: {problem}; load weights "
            "from before training diverged"
        )
