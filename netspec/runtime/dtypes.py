"""The types of numbers that a net is compiled for, by PyTorch's type or by name."""

from __future__ import annotations

import torch

from netspec.errors import require_type
from netspec.ir.arguments import DTYPES, choice


def dtype_of(dtype: torch.dtype | str, argument: str = "dtype") -> torch.dtype:
    """Return a type by its name, such as ``"float64"`` for ``torch.float64``.

    Raises:
        TypeError: it is not a type of PyTorch or a name.
        ValueError: there is no such type, or it is not one of floating-point numbers.
    """
    expected = f"a type of PyTorch or one of {', '.join(DTYPES)}"
    require_type(argument, dtype, (torch.dtype, str), expected)
    name = dtype if isinstance(dtype, str) else str(dtype).removeprefix("torch.")
    return getattr(torch, choice(argument, name, DTYPES))  # type: ignore[no-any-return]
