"""Collective operations with gradients: autograd functions over torch.distributed.

All ranks of a group must call the same functions in the same order, or they wait for each other
forever.  The mesh of ranks has two axes, and a group for each: ``data``, ranks with different
images, and ``column``, ranks with different channels of the same images (AlexNet, section 3.2).  A
group that is not set has one rank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.overrides import handle_torch_function, has_torch_function_unary

functional: Any = torch.ops._c10d_functional
"""PyTorch's functional collectives, called directly: the names of their Python wrappers change
between versions."""

GROUPS: dict[str, dist.ProcessGroup] = {}
"""The groups of this process, by the names of the mesh's axes."""


def size(name: str) -> int:
    """Return the number of ranks in a group."""
    return GROUPS[name].size() if name in GROUPS else 1


def added(x: Tensor, name: str) -> Tensor:
    """Return the sum of ``x`` over a group, in new memory and without a gradient."""
    if name not in GROUPS:
        return x.clone()
    return _done(functional.all_reduce(x.contiguous(), "sum", GROUPS[name].group_name))


def gathered(x: Tensor) -> Tensor:
    """Return the channels of all columns, without a gradient.

    Args:
        x: this column's channels, [N, C / columns, ...].

    Returns:
        [N, C, ...], in the order of the columns.
    """
    if "column" not in GROUPS:
        return x
    mine = x.movedim(1, -1).contiguous()  # does not copy a channels-last map
    columns, name = size("column"), GROUPS["column"].group_name
    parts = _done(functional.all_gather_into_tensor(mine, columns, name))
    return parts.reshape(columns, *mine.shape).movedim(0, -2).flatten(-2).movedim(-1, 1)


def own(x: Tensor) -> Tensor:
    """Return this column's channels, [N, C / columns, ...], of those of all, [N, C, ...]."""
    if "column" not in GROUPS:
        return x
    return x.tensor_split(size("column"), dim=1)[dist.get_rank(GROUPS["column"])]


def _own_sum(x: Tensor) -> Tensor:
    """Return this column's channels of the sum of ``x`` over columns: a reduce-scatter."""
    columns, name = size("column"), GROUPS["column"].group_name
    parts = torch.cat(x.movedim(1, -1).tensor_split(columns, dim=-1))
    return _done(functional.reduce_scatter_tensor(parts, "sum", columns, name)).movedim(-1, 1)


def _done(x: Tensor) -> Tensor:
    """Wait for a collective operation, which runs asynchronously, and return its result."""
    y: Tensor = functional.wait_tensor(x)
    return y


class _Sum(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return added(x, "data")

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return added(dy, "data")


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return gathered(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return own(dy)


class _GatherForParts(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return gathered(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _own_sum(dy) if "column" in GROUPS else dy


class _ForParts(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return added(dy, "column")


def total(x: Tensor) -> Tensor:
    """Return y = sum of x over the ranks of ``data``.

    Gradient: dx = sum of dy over the same ranks.
    """
    return _called(_Sum.apply, total, x)


def gather(x: Tensor) -> Tensor:
    """Return the channels of all columns, for consumers that compute the same on every column.

    Gradient: this column's channels of dy, which is the same on every column.
    """
    return _called(_Gather.apply, gather, x)


def gather_for_parts(x: Tensor) -> Tensor:
    """Return the channels of all columns, for consumers of which every column computes a part.

    Gradient: this column's channels of the sum of dy over columns.
    """
    return _called(_GatherForParts.apply, gather_for_parts, x)


def for_parts(x: Tensor) -> Tensor:
    """Return y = x, which every column has, for consumers of which every column computes a part.

    Gradient: dx = sum of dy over columns.
    """
    return _called(_ForParts.apply, for_parts, x)


def synchronised_batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise ``x`` [N, C, ...] by the statistics of the images of all ranks of ``data``.

    y[n, c] = weight[c] (x[n, c] - mean[c]) / sqrt(variance[c] + eps) + bias[c]

    The running statistics [C] are updated in place, as torch.nn.functional.batch_norm does: running
    := (1 - momentum) running + momentum batch.
    """
    if has_torch_function_unary(x):
        arguments = (x, running_mean, running_var, weight, bias, momentum, eps)
        recorded: Tensor = handle_torch_function(synchronised_batch_norm, (x,), *arguments)
        return recorded
    # float16 and bfloat16 are summed in float32.  The mean is taken over all ranks before the
    # squares are summed: the mean of squares minus the squared mean would cancel digits.
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    axes, by_channel = [0, *range(2, x.dim())], (1, -1, *[1] * (x.dim() - 2))
    count = added(wide.new_tensor(x.numel() / x.shape[1]), "data")
    mean = total(wide.sum(axes)) / count
    centred = wide - mean.reshape(by_channel)
    variance = total(centred.square().sum(axes)) / count
    with torch.no_grad():
        unbiased = variance * count / (count - 1).clamp_min(1)
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    scale = weight * (variance + eps).rsqrt()
    return (centred * scale.reshape(by_channel) + bias.reshape(by_channel)).to(x.dtype)


def _called(
    apply: Callable[[Tensor], Tensor], name: Callable[[Tensor], Tensor], x: Tensor
) -> Tensor:
    """Apply a function; for a proxy of torch.fx, record the call as one node instead."""
    if has_torch_function_unary(x):
        recorded: Tensor = handle_torch_function(name, (x,), x)
        return recorded
    return apply(x)
