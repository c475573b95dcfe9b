"""The gate to code that reads and writes at addresses and checks nothing, as oneDNN and Triton do.

What is bound once and runs many times is checked where it is bound; what is given at each run,
images and ``out=``, is checked at each run, which takes a microsecond a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from netspec.runtime.transforms import is_wrapper

_active, _FAKE = torch._C._get_dispatch_mode, torch._C._TorchDispatchModeKey.FAKE

Axes = tuple[tuple[int, int], ...]
"""The stride in elements and the size of each axis that is longer than one, by stride."""

_NOWHERE = "a tensor without memory"


def axes_of(sizes: Sequence[int], strides: Sequence[int]) -> Axes:
    """Return how elements lie in memory, whatever the order of the axes."""
    return tuple(sorted((s, n) for n, s in zip(sizes, strides, strict=True) if n != 1))


def require_memory(x: object, label: str) -> Tensor:
    """Return a tensor whose elements all lie in memory that is its own.

    Raises:
        TypeError: it is ``unusable``.
    """
    if type(x) is Tensor and not x.is_nested:
        try:  # in a microsecond: it is done at each run
            room, end = x.untyped_storage(), x.storage_offset() * x.itemsize + x.nbytes
            if x.is_contiguous() and room.data_ptr() and end <= room.nbytes():
                return x
        except (RuntimeError, NotImplementedError):
            pass
    reason = unusable(x)
    if reason is not None:
        raise TypeError(f"{label} is {reason}: give a dense tensor in memory")
    assert isinstance(x, Tensor)
    return x


def unusable(x: object) -> str | None:
    """Return what an object is instead of a dense tensor in memory, or None if it is one."""
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
    except RuntimeError:  # of zeros that are not stored, or of a wrapper that is in C++
        return _NOWHERE


def require(
    x: object,
    label: str,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    sizes: Sequence[int] | None = None,
) -> Tensor:
    """Return a tensor in memory of a device, of a type and, where they are given, of sizes.

    Raises:
        TypeError: it is of another type, or ``unusable``.
        ValueError: it is elsewhere, unaligned or of other sizes.
    """
    tensor = require_memory(x, label)
    if tensor.dtype != dtype:
        raise TypeError(f"{label} is in {tensor.dtype}, not {dtype}")
    if tensor.device != torch.device(device):
        raise ValueError(f"{label} is on {tensor.device}, not on {device}")
    if tensor.is_neg() or tensor.is_conj():
        raise ValueError(f"{label} is negated or conjugated lazily: use .resolve_neg()")
    if tensor.data_ptr() % tensor.itemsize:
        raise ValueError(f"{label} begins at an address not divisible by {tensor.itemsize}")
    if sizes is not None and tuple(tensor.shape) != tuple(sizes):
        raise ValueError(f"{label} is {_listed(tensor.shape)}, not {_listed(sizes)}")
    return tensor


def address(x: object, label: str, dtype: torch.dtype, axes: Axes) -> int:
    """Return the address of a tensor on the CPU whose elements lie as ``axes`` say.

    Raises:
        TypeError, ValueError: ``require`` refuses it, or elements lie otherwise.
    """
    tensor = require(x, label, device="cpu", dtype=dtype)
    if axes_of(tensor.shape, tensor.stride()) != axes:
        expected = ", ".join(f"{size} at stride {stride}" for stride, size in reversed(axes))
        actual = f"{_size(tensor)} with strides {_listed(tensor.stride())}"
        raise ValueError(f"{label} is {actual}, and is read as {expected or 'one element'}")
    return tensor.data_ptr()


def require_no_fake_mode() -> None:
    """Raise TypeError if tensors are fake at present: nothing would be computed, or kept."""
    if _active(_FAKE) is not None:
        raise TypeError(
            "a compiled net runs in real memory: leave FakeTensorMode, or use netspec.reference"
        )


# ------------------------------------------------------------------------ what is written to


def require_apart(places: Sequence[tuple[str, Tensor]]) -> None:
    """Raise ValueError if an element would be written twice: within a tensor, or by two."""
    for i, (label, x) in enumerate(places):
        if x.numel() and not _is_apart_in_itself(x):
            raise ValueError(f"{label} has elements that share memory: give a tensor without them")
        for earlier, y in places[:i]:
            if x.numel() and y.numel() and _meet(x, y):
                raise ValueError(f"{label} shares memory with {earlier}: give tensors of their own")


def _is_apart_in_itself(x: Tensor) -> bool:
    """Return whether each axis steps over all that those of shorter strides reach."""
    reach = 0
    for stride, size in axes_of(x.shape, x.stride()):
        if stride <= reach:
            return False
        reach += (size - 1) * stride
    return True


def _meet(x: Tensor, y: Tensor) -> bool:
    """Return whether two tensors of a type and device have an element in common."""
    starts = x.data_ptr(), y.data_ptr()
    base = min(starts)
    ends = [start + _reach(t) * t.itemsize for start, t in zip(starts, (x, y), strict=True)]
    if x.device != y.device or min(ends) <= max(starts):
        return False
    if any((start - base) % x.itemsize for start in starts):
        return True  # elements that begin within others
    # columns of one matrix, say: within their range they may have nothing in common
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
