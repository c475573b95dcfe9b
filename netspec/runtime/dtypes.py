"""The types of numbers that a net is compiled for, by PyTorch's type or by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from netspec.errors import require_type
from netspec.ir.arguments import DTYPES, choice


def dtype_of(dtype: torch.dtype | str) -> torch.dtype:
    """Return a type by its name, such as ``torch.float64`` for ``"float64"``.

    Raises:
        TypeError: it is not a type of PyTorch or a name.
        ValueError: there is no such type, or no net is compiled for it.
    """
    return getattr(torch, dtype_name(dtype))  # type: ignore[no-any-return]


def dtype_name(dtype: torch.dtype | str, known: Sequence[str] = DTYPES) -> str:
    """Return the name of a type, such as ``"float64"`` for ``torch.float64``.

    Args:
        dtype: a type of PyTorch, or a name.
        known: the names that are accepted.

    Raises:
        TypeError: it is not a type of PyTorch or a name.
        ValueError: it is not one of the known types.
    """
    expected = f"a type of PyTorch or one of {', '.join(known)}"
    require_type("dtype", dtype, (torch.dtype, str), expected)
    name = dtype if isinstance(dtype, str) else str(dtype).removeprefix("torch.")
    return choice("dtype", name, known)
