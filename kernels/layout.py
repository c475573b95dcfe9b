"""What the kernels take: maps in channels-last order, and slices of their channels.

A map is an ``[N, H, W, C]`` tensor whose channels lie side by side and whose pixels lie evenly
apart.  The distance between pixels, in elements, is its *pitch*: C for a contiguous tensor, and the
channels of the whole for a slice ``whole[..., a:b]``, which is how a convolution writes its part of
a concatenation in place.  Whatever is laid out otherwise is refused: copying it would hide a cost.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

MOST_PIXELS = 2**31 - 2**22
"""Pixels that 32 bits count, with room for the last programs' tiles."""


def pitch(name: str, x: Tensor) -> int:
    """Elements between neighbouring pixels of a map.

    Raises:
        ValueError: the tensor is no [N, H, W, C] map, or is laid out otherwise.
    """
    if x.dim() != 4:
        raise ValueError(f"{name} must be [N, H, W, C], and is {_size(x)}")
    batch, height, width, channels = x.shape
    if x.numel() == 0:
        return channels
    distances = [  # between neighbours along each axis, and how many pixels that step spans
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
            f"{name} must be channels-last: {_size(x)} with strides {tuple(x.stride())} has no "
            "channels side by side and pixels evenly apart; "
            f"permute a channels_last tensor, or call {name}.contiguous() first"
        )
    return step


def laid_out(gradient: Tensor) -> Tensor:
    """A gradient as it is, or, where autograd expanded or strided it, written out in order.

    An operator refuses such an input; a gradient's layout is nobody's choice.
    """
    try:
        pitch("gradient", gradient)
    except ValueError:
        return gradient.contiguous()
    return gradient


def check(name: str, x: Tensor, size: tuple[int, ...], like: Tensor) -> None:
    """Refuse a contiguous operand of another size, type or device than ``like`` asks for.

    Raises:
        ValueError: its size or its layout differs.
        TypeError: its type or its device differs.
    """
    check_size(name, x, size)
    if not x.is_contiguous():
        raise ValueError(f"{name} must be contiguous, and has strides {tuple(x.stride())}")
    check_kind(name, x, like)


def check_size(name: str, x: Tensor, size: tuple[int, ...]) -> None:
    """Raise if an operand is of another size.

    Raises:
        ValueError: it is not ``size``.
    """
    if tuple(x.shape) != size:
        raise ValueError(f"{name} must be {list(size)}, and is {_size(x)}")


def check_map(name: str, x: Tensor, size: tuple[int, ...], like: Tensor) -> None:
    """Raise if an operand is not a map of a size, type and device.

    Raises:
        ValueError: its size differs from ``size``, or it is not channels-last.
        TypeError: its type or its device differs from that of ``like``.
    """
    check_kind(name, x, like)
    pitch(name, x)
    check_size(name, x, size)


def check_kind(name: str, x: Tensor, like: Tensor) -> None:
    """Refuse an operand of another type or device than ``like``.

    Raises:
        TypeError: they differ.
    """
    if x.dtype != like.dtype or x.device != like.device:
        raise TypeError(
            f"{name} is {x.dtype} on {x.device}, and must be {like.dtype} on {like.device}"
        )


def check_device(x: Tensor) -> None:
    """Refuse what no kernel runs on: no floating point, or no GPU and no interpreter.

    Raises:
        TypeError: the type is none of :data:`FLOATS`.
        RuntimeError: the tensor is on a CPU and Triton's interpreter is off.
    """
    if x.dtype not in FLOATS:
        raise TypeError(f"the kernels take floating point, not {x.dtype}")
    if x.device.type == "cpu" and not is_interpreted():
        raise RuntimeError(
            "the kernels run on CUDA tensors; on a CPU, set TRITON_INTERPRET=1 before "
            "netspec.kernels is imported to run them, slowly, in Triton's interpreter"
        )


def check_product(x: Tensor) -> None:
    """Refuse what the interpreter multiplies wrongly: bfloat16 (triton#11584).

    Raises:
        RuntimeError: the tensor is bfloat16 on a CPU.
    """
    if x.dtype == torch.bfloat16 and x.device.type == "cpu":
        raise RuntimeError(
            "Triton's interpreter multiplies bfloat16 wrongly (triton#11584): on a CPU, use "
            "float16, float32 or float64"
        )


def check_apart(y: Tensor, **others: Tensor | None) -> None:
    """Refuse an output that shares elements with an operand: programs would read what others have
    written.  Slices of one tensor's channels that lie side by side share none.

    Raises:
        ValueError: the elements of ``y`` and of one of ``others`` may overlap.
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
        raise ValueError(f"y shares memory with {name}; it must be written apart")


def _extent(x: Tensor) -> tuple[int, int]:
    """The addresses from the first element of a tensor to behind its last."""
    last = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.data_ptr(), x.data_ptr() + (int(last) + 1) * x.element_size()


def is_interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on CPU tensors."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _size(x: Tensor) -> list[int]:
    return list(x.shape)
