"""The constants of an ONNX graph: stored in the model, or in a file next to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netspec.files.members import shown
from netspec.files.reading import fill, opened
from netspec.pretrained.formats.common import Damaged

ELEMENTS = {
    1: (torch.float32, np.float32, "float_data"),
    10: (torch.float16, np.uint16, "int32_data"),
    11: (torch.float64, np.float64, "double_data"),
    16: (torch.bfloat16, np.uint16, "int32_data"),
}
"""Types of weights by ONNX's numbers: in PyTorch, the bits in NumPy, and the field of values."""

ONE_FILE = "save the model in one file, in Python: onnx.save(onnx.load(FILE), NEW)"
MOST_DIMENSIONS = 32


@dataclass(frozen=True)
class Constant:
    """A tensor of the graph that does not depend on the image.

    Attributes:
        stored: its TensorProto.
        axes: the order of the stored axes, if a Transpose changes it.
        is_reshaped: the values are those of ``stored``, and the shape may be another.
    """

    stored: Any
    axes: tuple[int, ...] | None = None
    is_reshaped: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = tuple(self.stored.dims)
        return sizes if self.axes is None else tuple(sizes[axis] for axis in self.axes)

    @property
    def is_vector(self) -> bool:
        """It has one value per channel: more than one."""
        return prod(self.shape) > 1 and prod(self.shape) in self.shape

    def transposed(self, axes: Sequence[int] | None) -> Constant:
        """Return the result of a Transpose; None reverses the axes."""
        own = self.axes or tuple(range(len(self.stored.dims)))
        order = tuple(reversed(range(len(own)))) if axes is None else tuple(axes)
        if sorted(order) != list(range(len(own))):
            raise Damaged(f"it transposes {shown(self.stored.name)} by {list(order)[:8]}")
        return Constant(self.stored, tuple(own[axis] for axis in order))

    def tensor(self, folder: Path) -> Tensor:
        """Return the values.

        Args:
            folder: of the model, in which a file with values may be.

        Raises:
            Damaged: the values are not those of the type and shape, or their file cannot be read.
        """
        values = _values(self.stored, folder)
        return values if self.axes is None else values.permute(self.axes)


def _values(stored: Any, folder: Path) -> Tensor:
    name, shape = shown(stored.name) or "a constant", tuple(stored.dims)
    if stored.data_type not in ELEMENTS:
        raise Damaged(
            f"{name} is not of a floating-point type", "give the model before it was quantised"
        )
    dtype, bits, field = ELEMENTS[stored.data_type]
    if len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise Damaged(f"it is damaged: {name} claims the shape {list(shape)[:8]}")
    nbytes = prod(shape) * dtype.itemsize
    if stored.data_location == stored.EXTERNAL:
        content = _external(stored, nbytes, folder)
    elif stored.HasField("raw_data"):
        content = bytearray(stored.raw_data)
    else:
        # two conversions, since bits are stored as int32
        own = getattr(stored, field)
        wide = np.int32 if field == "int32_data" else bits
        content = bytearray(np.fromiter(own, wide, len(own)).astype(bits))
    if len(content) != nbytes:
        claim = f"{list(shape)}, {nbytes:,} bytes"
        raise Damaged(f"it is damaged: {name} claims {claim}, and has {len(content):,}")
    if not nbytes:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(content, dtype=dtype).reshape(shape)


def _external(stored: Any, nbytes: int, folder: Path) -> bytearray:
    """Return the bytes of a tensor in another file, which must be next to the model."""
    entries = {entry.key: entry.value for entry in stored.external_data}
    location = entries.get("location", "").removeprefix("./")
    is_name = location not in ("", ".", "..") and location.isprintable()
    if not is_name or any(character in location for character in "/\\:"):
        raise Damaged(
            f"its weights are in another file, {shown(location)}, which is not in its folder",
            ONE_FILE,
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", nbytes))
    except ValueError:
        raise Damaged(f"it is damaged: {shown(stored.name)} has no place in its file") from None
    try:
        with opened(folder / location) as file:
            size = file.seek(0, 2)
            if length != nbytes or offset < 0 or offset + length > size:
                raise Damaged(
                    f"{shown(stored.name)} claims {nbytes:,} bytes from byte {offset:,} of "
                    f"{shown(location)}, and that file has {size:,}"
                )
            file.seek(offset)
            content = bytearray(length)
            fill(file, memoryview(content))
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise Damaged(f"its weights are in {shown(location)}: {reason}", ONE_FILE) from None
    return content
