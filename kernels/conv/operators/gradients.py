"""The operators for the gradients of a convolution, with and without ReLU.

netspec::conv2d_input_gradient     dx of dy and w
netspec::conv2d_weight_gradient    dw and db of dy and x
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.arithmetic import check_precision
from netspec.kernels.conv import input_gradient, weight_gradient
from netspec.kernels.conv.geometry import Geometry, checked
from netspec.kernels.launch import run
from netspec.kernels.layout import check, check_kind, check_map
from netspec.kernels.windows import check_pixels

ATTRIBUTES = "int[2] stride, int[4] padding, int[2] dilation, int groups, str precision"
"""The attributes of a convolution in the schema of an operator."""


def checked_operands(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> Geometry:
    """Return the geometry of a convolution, after checks; raise errors as ``conv2d``."""
    geometry = checked(x, w, stride, padding, dilation, groups)
    check_precision(precision)
    if b is not None:
        check("b", b, (geometry.count,), like=x)
    return geometry


_GRADIENT = "(Tensor dy, Tensor? y, Tensor {}, SymInt[4] size, {}) -> {}"


@torch.library.custom_op(
    "netspec::conv2d_input_gradient",
    mutates_args=(),
    schema=_GRADIENT.format("w", ATTRIBUTES, "Tensor"),
)
def conv2d_input_gradient(
    dy: Tensor,
    y: Tensor | None,
    w: Tensor,
    size: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> Tensor:
    """Return the gradient of conv2d with respect to x.

    Args:
        dy: gradient of the output, [N, H', W', O].
        y: output of conv2d_relu, to return its gradient; None for conv2d.
        w: filters [O, kh, kw, C / groups].
        size: size of x, [N, H, W, C].
        stride, padding, dilation, groups, precision: as for conv2d.

    Returns:
        dx, [N, H, W, C].
    """
    check_kind("dy", dy, like=w)
    x = dy.new_empty(size)
    geometry = checked_operands(x, w, None, stride, padding, dilation, groups, precision)
    _check_gradient(dy, y, geometry)
    tile = input_gradient.choose_tile(geometry, dy.dtype, precision)
    run(input_gradient.launches(dy, y, w, x, geometry, precision=precision, tile=tile))
    return x


@torch.library.custom_op(
    "netspec::conv2d_weight_gradient",
    mutates_args=(),
    schema=_GRADIENT.format("x", ATTRIBUTES, "(Tensor, Tensor)"),
)
def conv2d_weight_gradient(
    dy: Tensor,
    y: Tensor | None,
    x: Tensor,
    size: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of conv2d with respect to w and b.

    Args:
        dy: gradient of the output, [N, H', W', O].
        y: output of conv2d_relu, to return its gradients; None for conv2d.
        x: images [N, H, W, C].
        size: size of w, [O, kh, kw, C / groups].
        stride, padding, dilation, groups, precision: as for conv2d.

    Returns:
        dw, [O, kh, kw, C / groups], and db, [O].
    """
    check_kind("dy", dy, like=x)
    dw, db = dy.new_empty(size), dy.new_empty(size[0])
    geometry = checked_operands(x, dw, None, stride, padding, dilation, groups, precision)
    _check_gradient(dy, y, geometry)
    tile = weight_gradient.choose_tile(geometry, dy.dtype, precision)
    run(weight_gradient.launches(dy, y, x, dw, db, geometry, precision=precision, tile=tile))
    return dw, db


def _check_gradient(dy: Tensor, y: Tensor | None, geometry: Geometry) -> None:
    check_map("dy", dy, geometry.size_out, like=dy)
    if y is not None:
        check_map("y", y, geometry.size_out, like=dy)
    check_pixels(geometry)


@conv2d_input_gradient.register_fake
def _(dy: Tensor, y: Tensor | None, w: Tensor, size: list[int], *attributes: Any) -> Tensor:
    return dy.new_empty(size)


@conv2d_weight_gradient.register_fake
def _(
    dy: Tensor, y: Tensor | None, x: Tensor, size: list[int], *attributes: Any
) -> tuple[Tensor, Tensor]:
    return dy.new_empty(size), dy.new_empty(size[0])
