"""A 1x1 convolution of stride 1 for Hopper: a persistent grid that uses tensor descriptors.

    y[m, o] = act(b[o] + sum over c of x[m, c] w[o, c])

It computes the product of :mod:`netspec.kernels.conv.pointwise` for one convolution.  There are at
most as many programs as multiprocessors, and each computes several tiles, so that a program is set
up only once.  The tensor memory accelerator moves tiles of x [pixels, C], w [O, C] and
y [pixels, O]; it computes the addresses and fills with zeros beyond the edges.

An output takes 2 C operations.  x, w and y are moved once each: C + O elements per pixel.

A descriptor requires every row to begin at a multiple of 16 bytes.  Otherwise results are wrong,
without an error (triton#10927).  So call :func:`fits` first; the launch raises an error if it is
False.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from netspec.kernels.arithmetic import finished
from netspec.kernels.conv import tiles
from netspec.kernels.conv.geometry import Geometry, example
from netspec.kernels.conv.tiles import ProductTile, place
from netspec.kernels.launch import Launch, multiprocessors
from netspec.kernels.layout import is_interpreted, pitch

CAPABILITY = 90
"""The lowest compute capability with a tensor memory accelerator, times ten."""

ALIGNMENT = 16
"""Alignment in bytes that a descriptor requires."""

# ---------------------------------------------------------------------------------- configurations

TILES: tiles.Tiles = {
    "half": (
        ProductTile(128, 256, 64, warps=8, stages=3),
        ProductTile(128, 128, 64, warps=8, stages=4),
        ProductTile(128, 64, 64, warps=4, stages=4),
        ProductTile(64, 64, 64, warps=4, stages=4),
    ),
    "tf32": (
        ProductTile(128, 128, 32, warps=8, stages=3),
        ProductTile(128, 64, 32, warps=4, stages=3),
    ),
    "ieee": (ProductTile(64, 64, 16, warps=4, stages=3),),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}


def fits(x: Tensor, w: Tensor, y: Tensor) -> bool:
    """Return True if descriptors support x [N, H, W, C], w [O, 1, 1, C] and y [N, H, W, O].

    Raises:
        ValueError: if a tensor is not channels-last.
    """
    return has_descriptors(x.device) and all(
        is_aligned(name, t) for name, t in (("x", x), ("w", w), ("y", y))
    )


def has_descriptors(device: torch.device) -> bool:
    """Return True for a GPU of capability 9.0 or higher, ``meta``, and the interpreter."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= divmod(CAPABILITY, 10)
    return device.type == "meta" or is_interpreted()


def is_aligned(name: str, x: Tensor) -> bool:
    """Return True if a tensor and each of its rows begin at a multiple of 16 bytes, and the length
    of a row is a multiple of 16 bytes.

    So in half precision, channels and the first channels of slices must be multiples of 8.

    Raises:
        ValueError: if the tensor is not channels-last.
    """
    return (
        address(x) % ALIGNMENT == 0
        and pitch(name, x) * x.element_size() % ALIGNMENT == 0
        and x.shape[3] * x.element_size() % ALIGNMENT == 0
    )


def address(x: Tensor) -> int:
    """Return the address of a tensor; on the ``meta`` device, its offset in its storage."""
    if x.device.type == "meta":
        return int(x.storage_offset()) * x.element_size()
    return x.data_ptr()


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def persistent(
    x_rows, w_rows, y_rows, b_ptr, pixels, channels, count,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute every n-th tile of the outputs, for n programs; ``_rows`` are descriptors."""
    row_tiles = tl.cdiv(pixels, ROWS)
    column_tiles = tl.cdiv(count, COLUMNS)
    for tile in tl.range(
        tl.program_id(0), row_tiles * column_tiles, tl.num_programs(0), flatten=False
    ):
        row_tile, column_tile = place(tile, row_tiles, column_tiles, 8)
        row = row_tile * ROWS
        column = column_tile * COLUMNS
        y = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
        for start in range(0, channels, DEPTH):
            x = x_rows.load([row, start])
            w = w_rows.load([column, start])
            y = tl.dot(x, w.T, y, input_precision=PRECISION, out_dtype=ACCUMULATOR)
        o = column + tl.arange(0, COLUMNS)
        y = finished(y, b_ptr, o, o < count, RELU, ACCUMULATOR)
        y_rows.store([row, column], y.to(y_rows.dtype))


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    geometry: Geometry,
    *,
    relu: bool,
    precision: str,
    tile: ProductTile,
    programs: int | None = None,
) -> list[Launch]:
    """Return the launch of a convolution, in a list; an empty list if a tensor is empty.

    Args:
        x: [N, H, W, C], contiguous or a slice of channels.
        w: [O, 1, 1, C], contiguous.
        b: [O], or None.
        y: [N, H, W, O], written; contiguous or a slice of channels.
        geometry: sizes of the convolution.
        relu: True to replace negative outputs by 0.
        precision: "ieee", or "tf32" for float32 products on tensor cores.
        tile: tile of a program.
        programs: maximum number of programs; None is the number of multiprocessors.

    Raises:
        ValueError: if :func:`fits` is False.
    """
    if not fits(x, w, y):
        raise ValueError(
            "tensor descriptors need a GPU of capability 9.0 and rows that begin on 16 bytes; x, "
            f"w, y have rows of {x.shape[3]}, {w.shape[3]}, {y.shape[3]} {x.dtype} elements, "
            f"{pitch('x', x)}, {pitch('w', w)}, {pitch('y', y)} apart"
        )
    pixels = geometry.pixels_out
    if pixels == 0:
        return []
    arguments: dict[str, object] = {
        "x_rows": _rows("x", x, tile.rows, tile.depth),
        "w_rows": _rows("w", w, tile.columns, tile.depth),
        "y_rows": _rows("y", y, tile.rows, tile.columns),
        "b_ptr": b,
        "pixels": pixels,
        "channels": geometry.channels,
        "count": geometry.count,
        "RELU": relu,
    }
    grid = (min(tile.programs(pixels, w.shape[0]), programs or multiprocessors(x.device)),)
    return [tile.launch(persistent, grid, arguments, x.dtype, precision)]


def _rows(name: str, x: Tensor, rows: int, channels: int) -> TensorDescriptor:
    """Return a descriptor of a map as a matrix of pixels x channels, for blocks of ``rows`` x
    ``channels``."""
    size = [x.shape[:3].numel(), x.shape[3]]
    return TensorDescriptor(x, size, [pitch(name, x), 1], [rows, channels])


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch for each tile: the largest 1x1 convolution of GoogLeNet's 4e at batch 32."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, b, y, geometry = example((32, 14, 14, 528), (256, 1, 1, 528), dtype)
        (launch,) = launches(x, w, b, y, geometry, relu=True, precision=precision, tile=tile)
        yield f"persistent {label}, 4e", launch
