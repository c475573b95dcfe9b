"""Triton's interpreter with less work per operation, and with the same checks."""

from __future__ import annotations

import inspect
import math
from functools import cache
from typing import Any

import numpy as np
from triton.language import core
from triton.language.core import is_builtin
from triton.language.semantic import TritonSemantic
from triton.runtime import interpreter

_NAMES: dict[Any, list[str]] = {}
_EXACT = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


def remember_builtins() -> None:
    """Make the interpreter quicker: most of the time of these tests is its own.

    It replaces the language's functions at each call of a kernel, and of each function that a
    kernel calls, and inspects all members to find them: here it looks once.  It computes every sum
    and product of integers a second time with the language's operations, and ignores an overflow
    that it finds unless debugging is on: here NumPy does so, and an overflow is an error.  It makes
    a table of types each time that it looks for one: here it looks once for each type.  It makes
    the shape of each value anew: here values share the shapes, which nothing changes.
    """
    interpreter._patch_builtin = _patch
    interpreter._get_np_dtype = _numpy_type
    TritonSemantic.binary_op_sanitize_overflow_impl = _require_no_overflow
    core.tensor.__init__ = _tensor
    core.block_type.__init__ = _block_type


_look_up = cache(interpreter._get_np_dtype)


def _numpy_type(kind: Any) -> np.dtype[Any]:
    scalar = kind.scalar  # of a block; types of blocks cannot be hashed
    return np.dtype(np.uint64) if scalar.is_ptr() else _look_up(scalar)


def _patch(owner: Any, builder: Any, scope: Any) -> None:
    if owner not in _NAMES:
        _NAMES[owner] = [name for name, member in inspect.getmembers(owner) if is_builtin(member)]
    names = _NAMES[owner]
    if names and is_builtin(getattr(owner, names[-1])):  # all are replaced at once
        for name in names:
            interpreter._patch_attr(owner, name, getattr(owner, name), builder, scope)


def _require_no_overflow(semantic: Any, x: Any, y: Any, operation: Any) -> None:
    """Raise AssertionError if a sum, difference or product does not fit into its integer type."""
    bits = x.type.scalar.int_bitwidth
    if bits >= 64:
        return
    exact = _EXACT[operation.__name__](x.handle.data, y.handle.data, dtype=np.int64)
    fits = exact == exact.astype(x.handle.data.dtype)
    assert fits.all(), f"int{bits} overflow detected for operation {operation.__name__}"


def _tensor(self: Any, handle: Any, type: Any) -> None:
    """Do what ``core.tensor.__init__`` does."""
    self.handle, self.type, self.dtype = handle, type, type.scalar
    self.shape, self.numel = _of_tensor(tuple(type.shape) if type.is_block() else ())


@cache
def _of_tensor(sizes: tuple[int, ...]) -> tuple[Any, Any]:
    return core.tuple([core.constexpr(size) for size in sizes]), core.constexpr(math.prod(sizes))


_new_block_type = core.block_type.__init__


def _block_type(self: Any, element_ty: Any, shape: Any) -> None:
    """Do what ``core.block_type.__init__`` does."""
    self.element_ty = element_ty
    self.shape, self.numel, text = _of_block(tuple(core._unwrap_if_constexpr(s) for s in shape))
    self.name = f"<{text}, {element_ty}>"


@cache
def _of_block(sizes: tuple[int, ...]) -> tuple[Any, int, str]:
    """Return the shape, the number of elements and the shape as text; raise as Triton does."""
    new = core.block_type.__new__(core.block_type)
    _new_block_type(new, core.int1, list(sizes))
    return new.shape, new.numel, str(new.shape)
