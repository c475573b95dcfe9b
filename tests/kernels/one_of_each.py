"""Run every operator once, on small maps that divide no block: what compute-sanitizer watches.

compute-sanitizer --tool memcheck python -m tests.kernels.one_of_each [TYPE ...]
"""

from __future__ import annotations

import sys

import torch

from netspec.kernels import operators  # noqa: F401 (registers torch.ops.netspec)
from netspec.kernels.conv import narrow, persistent, tiled
from netspec.kernels.conv.geometry import Geometry, checked
from netspec.kernels.conv.tiles import arithmetic
from netspec.kernels.launch import run
from tests.kernels.helpers import DTYPES, normal, within
from tests.kernels.interpreter import remember_builtins

ops = torch.ops.netspec


def convolutions(dtype: torch.dtype) -> None:
    x, w, b = (normal(*size, dtype=dtype) for size in ((2, 9, 7, 21), (13, 3, 3, 21), (13,)))
    attributes = ([2, 1], [1, 1, 1, 2], [1, 1], 1, "ieee")
    y = ops.conv2d_relu(within(x), w, b, *attributes)
    ops.conv2d_relu_out(x, w, b, within(y), *attributes)
    ops.conv2d_out(x, w, None, within(y), *attributes)
    ops.conv2d_input_gradient(y, y, w, x.shape, *attributes)
    ops.conv2d_weight_gradient(y, y, x, w.shape, *attributes)
    first, filters = normal(1, 15, 14, 3, dtype=dtype), normal(5, 7, 7, 3, dtype=dtype)
    y = ops.conv2d(first, filters, None, *attributes)
    ops.conv2d_weight_gradient(y, None, first, filters.shape, *attributes)
    small, filters = normal(1, 3, 3, 300, dtype=dtype), normal(9, 3, 3, 300, dtype=dtype)
    ops.conv2d(small, filters, None, [1, 1], [1] * 4, [1, 1], 1, "ieee")  # in parts
    filters = normal(20, 1, 1, 21, dtype=dtype)
    ys = ops.conv1x1_siblings_relu(x, filters, None, [3, 12, 5], "ieee")
    ops.conv1x1_siblings_out(x, filters, None, [within(y) for y in ys], "ieee")
    wide, filters = normal(2, 9, 7, 40, dtype=dtype), normal(24, 1, 1, 40, dtype=dtype)
    y = wide.new_empty(2, 9, 7, 24)
    if persistent.fits(wide, filters, y):
        geometry = Geometry(batch=2, height=9, width=7, channels=40, count=24, kernel=(1, 1))
        tile = persistent.TILES[arithmetic(dtype, "ieee")][-1]
        how = {"relu": False, "precision": "ieee", "tile": tile}
        run(persistent.launches(wide, filters, None, y, geometry, **how))
        tile = tiled.TILES[arithmetic(dtype, "ieee")][-1]
        deep = normal(2, 9, 7, 2 * tile.depth, dtype=dtype)
        filters = normal(24, 3, 3, 2 * tile.depth, dtype=dtype)
        geometry = checked(deep, filters, [1, 1], [1] * 4, [1, 1], 1)
        run(tiled.launches(deep, filters, None, y, geometry, **how | {"tile": tile}))
        tile = narrow.TILES[arithmetic(dtype, "ieee")][-1]
        filters = normal(24, 5, 5, 3, dtype=dtype)
        geometry = checked(first, filters, [2, 2], [1] * 4, [1, 1], 1)
        y = first.new_empty(geometry.size_out)
        run(narrow.launches(first, filters, None, y, geometry, **how | {"tile": tile}))


def others(dtype: torch.dtype) -> None:
    for channels in (21, 24):
        x = normal(2, 9, 7, channels, dtype=dtype)
        lrn = (5, 2.0, 1e-4, 0.75, 3)
        window = ([3, 3], [2, 2], [0, 1, 0, 0])
        ops.lrn_backward(x, ops.lrn(within(x), *lrn), *lrn)
        ops.lrn_out(x, within(x), *lrn)
        y = ops.lrn_maxpool(x, *lrn, *window)
        ops.lrn_maxpool_out(x, within(y), *lrn, *window)
        y = ops.maxpool_relu(within(x), *window)
        ops.maxpool_out(x, within(y), *window)
        y, index = ops.maxpool_with_index(x, *window)
        ops.maxpool_backward(y, index, x.shape[1], x.shape[2], *window)
        y = ops.avgpool(x, [3, 3], [2, 2], [1, 1, 1, 1], [0, 0], True)
        ops.avgpool_out(x, within(y), [3, 3], [2, 2], [1, 1, 1, 1], [0, 0], True)
        ops.avgpool_backward(y, 9, 7, [3, 3], [2, 2], [1, 1, 1, 1], [0, 0], True)
        ops.gap_backward(ops.gap(x), 9, 7)
        sub = (normal(channels, dtype=dtype), normal(channels, dtype=dtype))
        y = ops.subsample(x, *sub, [2, 2], [2, 2], [0, 0, 0, 0], "mean")
        ops.subsample_backward(y, x, sub[0], [2, 2], [2, 2], [0, 0, 0, 0], "mean")
    x, w, b = (normal(*size, dtype=dtype) for size in ((11, 70), (9, 70), (9,)))
    for batch in (1, 11):
        ops.fc(x[:batch], w, b)
        ops.fc_relu(x[:batch], w, b)


if __name__ == "__main__":
    remember_builtins()
    for kind in [getattr(torch, name) for name in sys.argv[1:]] or DTYPES[:-1]:
        convolutions(kind)
        others(kind)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    print("every operator ran")
