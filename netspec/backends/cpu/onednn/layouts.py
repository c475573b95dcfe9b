"""Layouts of oneDNN ("memory descriptors"): the sizes, type and memory order of a tensor.

The library's order of axes for maps is [N, C, H, W]; in memory they are dense [N, H, W, C].
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref, c_int
from enum import IntEnum
from functools import cached_property, lru_cache

import torch

from netspec.backends.cpu.onednn.library import MOST_AXES, SIZES, Handle, library
from netspec.ir.shapes import Shape
from netspec.runtime.gate import Axes, axes_of

TYPES = {torch.bfloat16: 2, torch.float32: 3}
"""The types in which nets are computed, with the library's numbers (``dnnl_data_type_t``)."""

BYTES = {torch.uint8: 6}
"""The type of scratch memory, with the library's number."""

ANY_LAYOUT = 1

KEPT = 1024
"""The number of layouts that are kept.  The stages of a net have few different ones."""


class Query(IntEnum):
    """The library's numbers of the properties that it can be asked for (``dnnl_query_t``)."""

    IMPLEMENTATION = 8
    WEIGHTS = 131
    SCRATCHPAD = 136
    OPERAND = 255
    """Of a description: the layout of an ``Argument``."""
    TYPE = 258
    """Of a layout: the number of its type."""


class Layout:
    """The sizes, type and memory order of a tensor.

    Attributes:
        axes: sizes and strides.  Only the library knows the order inside its blocked layouts: the
            axes of such a layout are one row of elements.
    """

    def __init__(self, handle: Handle, axes: Axes | None = None) -> None:
        self._as_parameter_ = handle
        self._axes = axes

    @cached_property
    def bytes(self) -> int:
        return int(library().function("memory_desc_get_size")(self))

    @cached_property
    def dtype(self) -> torch.dtype:
        number = c_int()
        library().function("memory_desc_query")(self, Query.TYPE, byref(number))
        return next(t for t, n in (TYPES | BYTES).items() if n == number.value)

    @cached_property
    def axes(self) -> Axes:
        if self._axes is not None:
            return self._axes
        elements = self.bytes // self.dtype.itemsize
        return axes_of((elements,), (1,))

    @cached_property
    def extent(self) -> int:
        """The bytes from the first element to the end of the last one.

        The library's size of a layout with gaps includes the gap after the last element.
        """
        return (1 + sum((size - 1) * stride for stride, size in self.axes)) * self.dtype.itemsize

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Layout) and bool(library().function("memory_desc_equal")(self, other))
        )

    __hash__ = None  # type: ignore[assignment]


def strided(sizes: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> Layout:
    """Return the layout with these sizes, and strides in elements."""
    return _strided(tuple(sizes), tuple(strides), dtype)


@lru_cache(KEPT)
def _strided(sizes: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> Layout:
    handle = library().make(
        "memory_desc_create_with_strides",
        len(sizes),
        as_sizes(sizes),
        TYPES[dtype],
        as_sizes(strides),
    )
    return Layout(handle, axes_of(sizes, strides))


def rows(sizes: Sequence[int], dtype: torch.dtype) -> Layout:
    """Return the contiguous layout: axes in order, the last one innermost."""
    strides = [1]
    for size in reversed(sizes[1:]):
        strides.insert(0, strides[0] * size)
    return strided(sizes, strides, dtype)


def channels_last(sizes: Sequence[int], dtype: torch.dtype) -> Layout:
    """Return the layout of sizes [N, C, H, W] with C innermost in memory."""
    _, c, h, w = sizes
    return strided(sizes, (h * w * c, 1, w * c, c), dtype)


def activations(batch: int, shape: Shape, dtype: torch.dtype) -> Layout:
    """Return the layout of a batch of maps or vectors in a plan's memory."""
    sizes = (batch, *shape.torch)
    return channels_last(sizes, dtype) if shape.is_map else rows(sizes, dtype)


def any_layout(sizes: Sequence[int], dtype: torch.dtype) -> Layout:
    """Return a layout of which the library chooses the memory order."""
    handle = library().make(
        "memory_desc_create_with_tag", len(sizes), as_sizes(sizes), TYPES[dtype], ANY_LAYOUT
    )
    return Layout(handle)


def as_sizes(numbers: Sequence[int]) -> object:
    """Return numbers as the library's array of sizes (``dnnl_dims_t``)."""
    assert len(numbers) <= MOST_AXES
    return SIZES(*numbers)
