"""Checks of operands: the kernels accept maps in channels-last order, and slices of their channels.

A map is an ``[N, H, W, C]`` tensor whose channels are adjacent in memory and whose pixels have
equal distances.  The distance between pixels, in elements, is the *pitch*.  It is C for a
contiguous tensor, and the number of channels of ``whole`` for a slice ``whole[..., a:b]``; with
such a slice a convolution writes its part of a concatenation in place.  Other layouts are an error,
since a silent copy would hide its cost.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

MOST_PIXELS = 2**31 - 2**22
"""Maximum number of pixels: 32-bit indices, with room for the last tiles, which may overhang."""


def pitch(name: str, x: Tensor) -> int:
    """Return the pitch of a map: the number of elements from one pixel to the next.

    Args:
        name: name of the tensor for messages.
        x: the map, [N, H, W, C].

    Raises:
        ValueError: if the tensor does not have four axes or is not channels-last.
    """
    if x.dim() != 4:
        raise ValueError(f"{name} must be [N, H, W, C], and is {_size(x)}")
    batch, height, width, channels = x.shape
    if x.numel() == 0:
        return channels
    distances = [  # size and stride of each axis, and the number of pixels that one step spans
        (size, stride, span)
        for size, stride, span in (
            (width, x.stride(2), 1),
            (height, x.stride(1), width),
            (batch, x.stride(0), height * width),
        )
        if size > 1
    ]
    step = distances[0][1] // distances[0][2] if distances else channels
    is_even = all(stride == step * span for _, stride, span in distances)
    if not is_even or step < channels or (channels > 1 and x.stride(3) != 1):
        raise ValueError(
            f"{name} must be channels-last (adjacent channels, pixels at equal distances), but has "
            f"size {_size(x)} with strides {tuple(x.stride())}: "
            f"permute a channels_last tensor, or call {name}.contiguous() first"
        )
    return step


def laid_out(gradient: Tensor) -> Tensor:
    """Return a gradient, copied if it is not channels-last.

    Operators raise an error for other layouts of inputs, which users choose; but autograd chooses
    the layout of gradients, and may expand them or give them other strides.
    """
    try:
        pitch("gradient", gradient)
    except ValueError:
        return gradient.contiguous()
    return gradient


def check(name: str, x: Tensor, size: tuple[int, ...], like: Tensor) -> None:
    """Check that an operand is contiguous and has the right size, type and device.

    Raises:
        ValueError: if its size is not ``size``, or it is not contiguous.
        TypeError: if its type or device differs from that of ``like``.
    """
    check_size(name, x, size)
    if not x.is_contiguous():
        raise ValueError(f"{name} must be contiguous, and has strides {tuple(x.stride())}")
    check_kind(name, x, like)


def check_size(name: str, x: Tensor, size: tuple[int, ...]) -> None:
    """Raise ValueError if the size of an operand is not ``size``."""
    if tuple(x.shape) != size:
        raise ValueError(f"{name} must be {list(size)}, and is {_size(x)}")


def check_map(name: str, x: Tensor, size: tuple[int, ...], like: Tensor) -> None:
    """Check that an operand is a map with the right size, type and device.

    Raises:
        ValueError: if its size is not ``size``, or it is not channels-last.
        TypeError: if its type or device differs from that of ``like``.
    """
    check_kind(name, x, like)
    pitch(name, x)
    check_size(name, x, size)


def check_kind(name: str, x: Tensor, like: Tensor) -> None:
    """Raise TypeError if the type or device of an operand differs from that of ``like``."""
    if x.dtype != like.dtype or x.device != like.device:
        raise TypeError(
            f"{name} is {x.dtype} on {x.device}, and must be {like.dtype} on {like.device}"
        )


def check_device(x: Tensor) -> None:
    """Check that the kernels can run on a tensor.

    Raises:
        TypeError: if its type is not one of :data:`FLOATS`.
        RuntimeError: if it is on a CPU and Triton's interpreter is off.
    """
    if x.dtype not in FLOATS:
        raise TypeError(f"the kernels require floating point, not {x.dtype}")
    if x.device.type == "cpu" and not is_interpreted():
        raise RuntimeError(
            "the kernels run on CUDA tensors; on a CPU, set TRITON_INTERPRET=1 before "
            "netspec.kernels is imported to run them, slowly, in Triton's interpreter"
        )


def check_product(x: Tensor) -> None:
    """Raise RuntimeError for bfloat16 on a CPU: Triton's interpreter multiplies it wrongly.

    See triton#11584.
    """
    if x.dtype == torch.bfloat16 and x.device.type == "cpu":
        raise RuntimeError(
            "Triton's interpreter computes wrong products of bfloat16 (triton#11584): on a CPU, "
            "use float16, float32 or float64"
        )


def check_apart(y: Tensor, **others: Tensor | None) -> None:
    """Check that an output does not share elements with an operand.

    Otherwise programs could read values that others have already overwritten.  Different channels
    of the same tensor are allowed.

    Raises:
        ValueError: if elements of ``y`` and of one of ``others`` may overlap.
    """
    for name, x in others.items():
        if x is None or y.numel() == 0 or x.numel() == 0 or y.device.type == "meta":
            continue
        (first, end), (x_first, x_end) = _extent(y), _extent(x)
        if x_first >= end or first >= x_end:
            continue
        if x.dim() == y.dim() == 4 and x.element_size() == y.element_size():
            step = pitch("y", y)
            if step == pitch(name, x):
                distance = (x_first - first) // y.element_size() % step
                if distance >= y.shape[3] and distance + x.shape[3] <= step:
                    continue
        raise ValueError(f"y shares memory with {name}: use another tensor for the output")


def _extent(x: Tensor) -> tuple[int, int]:
    """Return the address of the first element of a tensor, and the address after its last."""
    last = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.data_ptr(), x.data_ptr() + (int(last) + 1) * x.element_size()


def is_interpreted() -> bool:
    """Return True if kernels run in Triton's interpreter, on CPU tensors."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _size(x: Tensor) -> list[int]:
    return list(x.shape)
