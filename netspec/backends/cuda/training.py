"""Operators with gradients for training, by netspec's kernels.

Each function below takes maps [N, C, H, W], as references do, and calls an operator of
:mod:`netspec.kernels` on a view of the same memory as [N, H, W, C].  A map with another memory
layout is copied first; maps between netspec's kernels never need that.  torch.fx records each
function as one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from netspec.backends.cuda.conv import geometry
from netspec.backends.cuda.lrn import attributes
from netspec.backends.cuda.pools import asked_for
from netspec.backends.memory import nchw
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.operator import Meaning, Operator, WindowOperator
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.subsample import Subsample
from netspec.ir.shapes import Shape
from netspec.kernels import operators  # noqa: F401 - registers torch.ops.netspec
from netspec.kernels.fc.forward import as_map
from netspec.kernels.layout import laid_out
from netspec.kernels.pool.operators.maxpool import TAPS, max_pool, max_pool_relu

ours: Any = torch.ops.netspec


def meaning(op: Operator, training: bool, precision: str) -> Meaning:
    """Return the function that computes an operator with netspec's kernels.

    If no kernel computes it, return its reference.
    """
    function = FUNCTIONS.get(type(op))
    own = op.training_reference if training else op.reference
    if function is None:
        return own

    def compute(inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        if isinstance(op, MaxPool | AvgPool) and not _fits(op):
            return own(inputs, *x, **parameters)
        return function(op, precision, inputs, x[0], **parameters)

    return compute


def _fits(op: MaxPool | AvgPool) -> bool:
    """Return True if the kernels compute a pool: they do not have a dilation, and store the index
    of a maximum in its window in a byte."""
    taps = prod(op.kernel) + isinstance(op, MaxPoolRelu) if isinstance(op, MaxPool) else 0
    return op.dilation == (1, 1) and taps <= TAPS


def _recorded(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Call a function; if arguments are proxies of torch.fx, record it as one call.

    Tracing into the function would fail: kernels need real tensors.
    """
    tracer = next((a.tracer for a in arguments if isinstance(a, fx.Proxy)), None)
    if tracer is None:
        return function(*arguments)
    proxy: Any = tracer.create_proxy("call_function", function, arguments, {})
    return proxy  # type: ignore[no-any-return]


def _nhwc(x: Tensor) -> Tensor:
    return laid_out(x.permute(0, 2, 3, 1))


# --------------------------------------------------------------------- operators, and what they run


def _conv(
    op: Any, precision: str, inputs: Sequence[Shape], x: Tensor, **parameters: Tensor
) -> Tensor:
    windows = geometry(op, inputs, 1)
    steps = [
        list(windows.stride),
        list(windows.padding),
        list(windows.dilation),
        windows.groups,
        precision,
    ]
    function = conv2d_relu if isinstance(op, ConvRelu) else conv2d
    return _recorded(function, x, op.dense(parameters["weight"]), parameters.get("bias"), *steps)


def conv2d(x: Tensor, w: Tensor, b: Tensor | None, *steps: Any) -> Tensor:
    """Convolution of ``x`` [N, C, H, W] by ``w`` [O, C / groups, kh, kw]."""
    return nchw(ours.conv2d(_nhwc(x), w.permute(0, 2, 3, 1).contiguous(), b, *steps))


def conv2d_relu(x: Tensor, w: Tensor, b: Tensor | None, *steps: Any) -> Tensor:
    """Convolution, then ReLU."""
    return nchw(ours.conv2d_relu(_nhwc(x), w.permute(0, 2, 3, 1).contiguous(), b, *steps))


def _fc(
    op: Any, precision: str, inputs: Sequence[Shape], x: Tensor, **parameters: Tensor
) -> Tensor:
    function = fc_relu if isinstance(op, FullyConnectedRelu) else fc
    return _recorded(function, x, parameters["weight"], parameters.get("bias"), precision)


def fc(x: Tensor, w: Tensor, b: Tensor | None, precision: str) -> Tensor:
    """Fully connected layer of ``x`` [N, K], or of a map with K elements, by ``w`` [O, K]."""
    return ours.fc(_vector(x), w.contiguous(), b, precision)  # type: ignore[no-any-return]


def fc_relu(x: Tensor, w: Tensor, b: Tensor | None, precision: str) -> Tensor:
    """Fully connected layer, then ReLU."""
    return ours.fc_relu(_vector(x), w.contiguous(), b, precision)  # type: ignore[no-any-return]


def _vector(x: Tensor) -> Tensor:
    return laid_out(as_map(x.flatten(1)))[:, 0, 0]


def _lrn(
    op: Any, precision: str, inputs: Sequence[Shape], x: Tensor, **parameters: Tensor
) -> Tensor:
    return _recorded(lrn, x, *attributes(op))


def lrn(x: Tensor, *window: Any) -> Tensor:
    """Local response normalisation of ``x`` [N, C, H, W]."""
    return nchw(ours.lrn(_nhwc(x), *window))


def _maxpool(
    op: Any, precision: str, inputs: Sequence[Shape], x: Tensor, **parameters: Tensor
) -> Tensor:
    function = maxpool_relu if isinstance(op, MaxPoolRelu) else maxpool
    return _recorded(function, x, *_window(op, inputs))


def maxpool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Max-pooling of ``x`` [N, C, H, W]."""
    return nchw(max_pool(_nhwc(x), kernel, stride, padding))


def maxpool_relu(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Max-pooling of max(x, 0), which is ReLU of max-pooling."""
    return nchw(max_pool_relu(_nhwc(x), kernel, stride, padding))


relu_maxpool = maxpool_relu
"""The earlier name of this function: recorded graphs that were pickled earlier call it."""


def _avgpool(
    op: Any, precision: str, inputs: Sequence[Shape], x: Tensor, **parameters: Tensor
) -> Tensor:
    kernel, stride, _ = _window(op, inputs)
    return _recorded(avgpool, x, kernel, stride, *asked_for(op, inputs), op.count_pad is True)


def avgpool(x: Tensor, *window: Any) -> Tensor:
    """Average pooling of ``x`` [N, C, H, W]."""
    return nchw(ours.avgpool(_nhwc(x), *window))


def _gap(
    op: Any, precision: str, inputs: Sequence[Shape], x: Tensor, **parameters: Tensor
) -> Tensor:
    return _recorded(gap, x)


def gap(x: Tensor) -> Tensor:
    """Global average pooling of ``x`` [N, C, H, W]."""
    return nchw(ours.gap(_nhwc(x)))


def _subsample(
    op: Any, precision: str, inputs: Sequence[Shape], x: Tensor, **parameters: Tensor
) -> Tensor:
    return _recorded(
        subsample, x, parameters["coefficient"], parameters["bias"], *_window(op, inputs), op.by
    )


def subsample(x: Tensor, coefficient: Tensor, bias: Tensor, *window: Any) -> Tensor:
    """Trained subsampling of ``x`` [N, C, H, W]."""
    return nchw(ours.subsample(_nhwc(x), coefficient, bias, *window))


def _window(op: WindowOperator, inputs: Sequence[Shape]) -> tuple[list[int], ...]:
    """Return kernel, stride and padding (top, bottom, left, right) including the overhang."""
    windows = geometry(op, inputs, 1)
    return list(windows.kernel), list(windows.stride), list(windows.padding)


FUNCTIONS: dict[type[Operator], Callable[..., Tensor]] = {
    Conv: _conv,
    ConvRelu: _conv,
    FullyConnected: _fc,
    FullyConnectedRelu: _fc,
    LocalResponseNorm: _lrn,
    MaxPool: _maxpool,
    MaxPoolRelu: _maxpool,
    AvgPool: _avgpool,
    GlobalAveragePool: _gap,
    Subsample: _subsample,
}
"""For each operator, the function that calls its kernel."""
