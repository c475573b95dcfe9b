"""Find values that are NaN or infinite: in which tensor, where, and how many."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.members import shown


def is_finite(tensor: Tensor) -> bool:
    """Return True if a tensor contains neither NaN nor infinity.

    It is enough to look at the minimum and the maximum, which are NaN if any value is NaN.  They
    take one pass and no memory, unlike ``isfinite().all()``.
    """
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    wide = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # float8 has no aminmax kernel
    return all(bool(value.isfinite()) for value in torch.aminmax(wide.detach()))


def are_finite(memory: memoryview, dtype: torch.dtype) -> bool:
    """Return True if the numbers of a type in memory are neither NaN nor infinite.

    As integers, the bits of NaN and infinity are above those of the largest number.  NumPy finds
    the maximum in the calling thread.  PyTorch divides a reduction among threads, which is slower
    for a piece that fits in the cache, and much slower while another thread hashes.
    """
    if not dtype.is_floating_point or not memory:
        return True
    signed = np.frombuffer(memory, f"i{dtype.itemsize}")
    unsigned = signed.view(f"u{dtype.itemsize}")
    largest = _largest(dtype)
    sign = 1 << 8 * dtype.itemsize - 1
    # As signed integers all negative numbers are below 0; as unsigned ones, above the others.
    return int(signed.max()) <= largest and int(unsigned.max()) <= sign + largest


@cache
def _largest(dtype: torch.dtype) -> int:
    """Return the bits of the largest number of a type as an integer."""
    bits = torch.tensor([torch.finfo(dtype).max], dtype=dtype).view(torch.uint8).tolist()
    return int.from_bytes(bits, sys.byteorder)


def first_not_finite(tensors: Mapping[str, Tensor]) -> str:
    """Return a description of the first tensor that is not finite; an empty string if all are.

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
    """Raise DataError if a tensor of a model is not finite: its file could not be loaded again.

    Args:
        tensors: the model's tensors by name.
        name: of the model, for the message.
    """
    problem = first_not_finite(tensors)
    if problem:
        raise DataError(
            f"the weights of {name} are not saved, because they are not finite: {problem}; load "
            "weights from before training diverged"
        )
