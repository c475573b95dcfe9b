"""Checks of tensors before oneDNN and Triton read and write their addresses without any check.

A wrong size or stride would read or write foreign memory.  Parameters are checked once, when a plan
is bound.  Images and ``out=`` are checked at each run, which takes a microsecond per tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from netspec.runtime.transforms import is_wrapper

_active, _FAKE = torch._C._get_dispatch_mode, torch._C._TorchDispatchModeKey.FAKE

Axes = tuple[tuple[int, int], ...]
"""(stride in elements, size) of each axis longer than 1, in the order of strides."""

_NOWHERE = "a tensor without memory"


def axes_of(sizes: Sequence[int], strides: Sequence[int]) -> Axes:
    """Return the layout of a tensor in memory, independent of the order of its axes."""
    return tuple(sorted((s, n) for n, s in zip(sizes, strides, strict=True) if n != 1))


def require_memory(x: object, label: str) -> Tensor:
    """Return ``x`` if it is a dense tensor whose elements all lie in its storage.

    Args:
        x: any object.
        label: its name in the message.

    Raises:
        TypeError: it is :func:`unusable`.
    """
    if type(x) is Tensor and not x.is_nested:
        try:  # the usual case, in a microsecond, because it is checked at each run
            room, end = x.untyped_storage(), x.storage_offset() * x.itemsize + x.nbytes
            if x.is_contiguous() and room.data_ptr() and end <= room.nbytes():
                return x
        except (RuntimeError, NotImplementedError):
            pass
    reason = unusable(x)
    if reason is not None:
        raise TypeError(f"{label} is {reason}: pass a dense tensor in memory")
    assert isinstance(x, Tensor)
    return x


def unusable(x: object) -> str | None:
    """Return None if an object is a dense tensor in memory, and otherwise what it is."""
    if not isinstance(x, Tensor):
        return f"a {type(x).__name__}, not a tensor"
    if is_lazy(x) or is_wrapper(x):
        return f"a {type(x).__name__}"
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        return "a tensor of a torch.func transform"
    if x.is_quantized:
        return f"quantised ({x.dtype})"
    if x.is_nested:
        return "nested, not dense"
    if x.layout != torch.strided:
        return f"{x.layout}, not dense"
    if x.is_meta:
        return "a tensor on meta, without values"
    if not x.numel():
        return None
    room = x.untyped_storage()
    if room.nbytes() < (x.storage_offset() + _reach(x)) * x.itemsize:
        return f"a tensor whose storage of {room.nbytes()} bytes does not hold {_size(x)}"
    try:
        return None if room.data_ptr() else _NOWHERE
    except RuntimeError:  # raised for zeros that are not stored, and for wrappers in C++
        return _NOWHERE


def require(
    x: object,
    label: str,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    sizes: Sequence[int] | None = None,
) -> Tensor:
    """Return ``x`` if it is a dense tensor on a device, with a type and, if given, sizes.

    Args:
        x: any object.
        label: its name in the message.
        device: on which it must be.
        dtype: that it must have.
        sizes: that it must have; None for any.

    Raises:
        TypeError: it has another type, or is :func:`unusable`.
        ValueError: it is on another device, not aligned, or has other sizes.
    """
    tensor = require_memory(x, label)
    if tensor.dtype != dtype:
        raise TypeError(f"{label} is in {tensor.dtype}, not {dtype}")
    if tensor.device != torch.device(device):
        raise ValueError(f"{label} is on {tensor.device}, not on {device}")
    if tensor.is_neg() or tensor.is_conj():
        raise ValueError(f"{label} is a lazily negated or conjugated view: use .resolve_neg()")
    if tensor.data_ptr() % tensor.itemsize:
        raise ValueError(
            f"{label} begins at an address that is not a multiple of {tensor.itemsize} bytes: use "
            ".clone()"
        )
    if sizes is not None and tuple(tensor.shape) != tuple(sizes):
        raise ValueError(f"{label} is {_listed(tensor.shape)}, not {_listed(sizes)}")
    return tensor


def address(x: object, label: str, dtype: torch.dtype, axes: Axes) -> int:
    """Return the address of a tensor on the CPU with this layout.

    Args:
        x: any object.
        label: its name in the message.
        dtype: that it must have.
        axes: its layout, as from :func:`axes_of`.

    Raises:
        TypeError, ValueError: :func:`require` raises it, or the layout is another.
    """
    tensor = require(x, label, device="cpu", dtype=dtype)
    if axes_of(tensor.shape, tensor.stride()) != axes:
        expected = ", ".join(f"{size} at stride {stride}" for stride, size in reversed(axes))
        actual = f"{_size(tensor)} with strides {_listed(tensor.stride())}"
        raise ValueError(f"{label} is {actual}, but must have {expected or 'one element'}")
    return tensor.data_ptr()


def require_no_fake_mode() -> None:
    """Raise TypeError inside FakeTensorMode, where tensors do not have memory."""
    if _active(_FAKE) is not None:
        raise TypeError(
            "a compiled net needs tensors in memory: leave FakeTensorMode, or use netspec.reference"
        )


# ------------------------------------------------------------------------ what is written to


def require_apart(places: Sequence[tuple[str, Tensor]]) -> None:
    """Raise ValueError if two elements of the tensors have the same address.

    Args:
        places: (name for the message, tensor) for each tensor that is written to.
    """
    for i, (label, x) in enumerate(places):
        if x.numel() and not _is_apart_in_itself(x):
            raise ValueError(f"{label} has elements that share memory: pass a contiguous tensor")
        for earlier, y in places[:i]:
            if x.numel() and y.numel() and _meet(x, y):
                raise ValueError(f"{label} shares memory with {earlier}: pass separate tensors")


def _is_apart_in_itself(x: Tensor) -> bool:
    """Return True if the stride of each axis exceeds the reach of all axes with shorter strides.

    Then no two elements of the tensor have the same address.
    """
    reach = 0
    for stride, size in axes_of(x.shape, x.stride()):
        if stride <= reach:
            return False
        reach += (size - 1) * stride
    return True


def _meet(x: Tensor, y: Tensor) -> bool:
    """Return True if two tensors of the same type have an element in common."""
    starts = x.data_ptr(), y.data_ptr()
    base = min(starts)
    ends = [start + _reach(t) * t.itemsize for start, t in zip(starts, (x, y), strict=True)]
    if x.device != y.device or min(ends) <= max(starts):
        return False
    if any((start - base) % x.itemsize for start in starts):
        return True  # elements of one begin in the middle of elements of the other
    # Ranges that overlap need not have an element in common: for example, two columns of one
    # matrix.  Mark the elements of the first in a map of the range, and look at the second's.
    is_taken = torch.zeros((max(ends) - base) // x.itemsize, dtype=torch.bool, device="cpu")
    first, second = (
        is_taken.as_strided(t.shape, t.stride(), (start - base) // t.itemsize)
        for start, t in zip(starts, (x, y), strict=True)
    )
    first.fill_(True)
    return bool(second.any())


# ---------------------------------------------------------------------------------- in words


def _reach(x: Tensor) -> int:
    """Return the number of elements from the first to the last in memory."""
    return 1 + sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True))


def _size(x: Tensor) -> str:
    return f"{_listed(x.shape)} of {str(x.dtype).removeprefix('torch.')}"


def _listed(numbers: Sequence[int]) -> str:
    return f"[{', '.join(map(str, numbers))}]"
