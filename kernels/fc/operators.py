"""The operators: fully connected layers, with and without ReLU.

    netspec::fc         y = b + w x, differentiable
    netspec::fc_relu    max(y, 0), differentiable

:mod:`netspec.kernels.fc.forward` describes the kernel; gradients are those of a 1x1 convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netspec.kernels.arithmetic import check_precision
from netspec.kernels.conv.operators import conv2d_input_gradient, conv2d_weight_gradient
from netspec.kernels.fc.forward import as_map, launches
from netspec.kernels.launch import run
from netspec.kernels.layout import check, check_device, check_product, laid_out, pitch


def _forward(x: Tensor, w: Tensor, b: Tensor | None, precision: str, *, relu: bool) -> Tensor:
    check_precision(precision)
    check_device(x)
    if x.dim() != 2:
        raise ValueError(f"x must be [N, K], and is {list(x.shape)}")
    pitch("x", as_map(x))
    if w.dim() != 2:
        raise ValueError(f"w must be [O, K], and is {list(w.shape)}")
    check("w", w, (w.shape[0], x.shape[1]), like=x)
    check_product(x)
    if w.numel() == 0:
        raise ValueError(f"w {list(w.shape)} has no outputs or no inputs")
    if b is not None:
        check("b", b, (w.shape[0],), like=x)
    y = x.new_empty(x.shape[0], w.shape[0])
    run(launches(x, w, b, y, relu=relu, precision=precision))
    return y


@torch.library.custom_op("netspec::fc", mutates_args=())
def fc(x: Tensor, w: Tensor, b: Tensor | None, precision: str = "ieee") -> Tensor:
    """Return y[n, o] = b[o] + sum over i of w[o, i] x[n, i].

    Args:
        x: [N, K]; the elements of a row must be adjacent in memory.
        w: [O, K], contiguous.
        b: [O], or None.
        precision: "ieee", or "tf32" for float32 products on tensor cores (for more than eight
            images).

    Returns:
        [N, O].

    Raises:
        ValueError: if sizes do not match, or the elements of a row of x are not adjacent.
        TypeError: if types or devices differ, or the kernels do not support them.
    """
    return _forward(x, w, b, precision, relu=False)


@torch.library.custom_op("netspec::fc_relu", mutates_args=())
def fc_relu(x: Tensor, w: Tensor, b: Tensor | None, precision: str = "ieee") -> Tensor:
    """Return max(y, 0) for the y of :func:`fc`; NaN stays NaN."""
    return _forward(x, w, b, precision, relu=True)


def _empty(x: Tensor, w: Tensor, b: Tensor | None, precision: str = "ieee") -> Tensor:
    return x.new_empty(x.shape[0], w.shape[0])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, b, ctx.precision = inputs
    ctx.has_bias = b is not None
    ctx.save_for_backward(x, w)


def _save_relu(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, b, ctx.precision = inputs
    ctx.has_bias = b is not None
    ctx.save_for_backward(x, w, output)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
    """Return the gradients that autograd needs; y is saved only for ReLU."""
    x, w, *rest = ctx.saved_tensors
    y = as_map(rest[0]) if rest else None
    dy = laid_out(as_map(dy))
    attributes = ([1, 1], [0, 0, 0, 0], [1, 1], 1, ctx.precision)
    of_x, of_w, of_b = ctx.needs_input_grad[:3]
    dx = dw = db = None
    if of_x:
        size = [x.shape[0], 1, 1, x.shape[1]]
        dx = conv2d_input_gradient(dy, y, as_map(w), size, *attributes).flatten(1)
    if of_w or of_b:
        size = [w.shape[0], 1, 1, w.shape[1]]
        dw, db = conv2d_weight_gradient(dy, y, as_map(x), size, *attributes)
        dw = dw.flatten(1)
    return dx, dw, db if ctx.has_bias else None, None


fc.register_fake(_empty)
fc.register_autograd(_backward, setup_context=_save)
fc_relu.register_fake(_empty)
fc_relu.register_autograd(_backward, setup_context=_save_relu)
