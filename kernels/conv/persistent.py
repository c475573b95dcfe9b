"""A 1x1 convolution of stride 1 for Hopper: a persistent grid, fed by tensor descriptors.

    y[m, o] = act(b[o] + sum over c of x[m, c] w[o, c])

The product of :mod:`netspec.kernels.conv.pointwise` for one convolution.  There are no more
programs than multiprocessors, and each works through tiles until none is left, so that nothing is
set up anew for a tile.  Tiles of x [pixels, C], w [O, C] and y [pixels, O] are moved by the tensor
memory accelerator, which computes the addresses and fills with zeros beyond the edges.

An output takes 2 C operations; x, w and y move once each through memory, C + O elements a pixel.

A descriptor wants every row to begin on 16 bytes.  One that does not gives wrong results and no
error (triton#10927), so :func:`fits` is asked first; the launch itself has no other way to go.
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
"""The first compute capability that has the tensor memory accelerator, times ten."""

ALIGNMENT = 16
"""Bytes on which everything that a descriptor describes begins."""

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
    """Whether descriptors can describe x [N, H, W, C], w [O, 1, 1, C] and y [N, H, W, O].

    Every base and every row must begin on 16 bytes, and rows must be whole 16 bytes, since a
    descriptor stores no less: so C and O are multiples of 8 in half precision, and slices begin
    at such multiples.  The device must be of capability 9.0 or above, or the interpreter.

    Raises:
        ValueError: a tensor is not channels-last.
    """
    if x.device.type == "cuda":
        if torch.cuda.get_device_capability(x.device) < divmod(CAPABILITY, 10):
            return False
    elif x.device.type != "meta" and not is_interpreted():
        return False
    return all(
        address(t) % ALIGNMENT == 0
        and pitch(name, t) * t.element_size() % ALIGNMENT == 0
        and t.shape[3] * t.element_size() % ALIGNMENT == 0
        for name, t in (("x", x), ("w", w), ("y", y))
    )


def address(x: Tensor) -> int:
    """Where a tensor begins; on the ``meta`` device, within its storage."""
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
    """Every so many-th tile of the outputs; ``_rows`` are descriptors."""
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
    """The convolution as one launch, or none where there is nothing to describe.

    Args:
        x: [N, H, W, C], contiguous or a slice of channels.
        w: [O, 1, 1, C], contiguous.
        b: [O], or None.
        y: [N, H, W, O], written; contiguous or a slice of channels.
        geometry: of the convolution.
        relu: whether negative outputs become 0.
        precision: "ieee", or "tf32" for float32 products on tensor cores.
        tile: how the product is cut.
        programs: at most so many; None is one a multiprocessor.

    Raises:
        ValueError: :func:`fits` says no.
    """
    if not fits(x, w, y):
        raise ValueError(
            "tensor descriptors want a GPU of capability 9.0 and rows that begin on 16 bytes; x, "
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
    """A map as a matrix of pixels x channels, moved in blocks of ``rows`` x ``channels``."""
    size = [x.shape[:3].numel(), x.shape[3]]
    return TensorDescriptor(x, size, [pitch(name, x), 1], [rows, channels])


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Every tile, on the largest 1x1 convolution of GoogLeNet's 4e at batch 32."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, b, y, geometry = example((32, 14, 14, 528), (256, 1, 1, 528), dtype)
        (launch,) = launches(x, w, b, y, geometry, relu=True, precision=precision, tile=tile)
        yield f"persistent {label}, 4e", launch
