"""Collective operations with gradients: autograd functions over torch.distributed.

Every rank of a group calls the same function at the same place.  Two groups are known by name, as
the mesh of ranks has two axes: ``data``, ranks with different images, and ``column``, ranks with
different channels of the same images (AlexNet, section 3.2).  A group that is not set has one rank.
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
"""PyTorch's functional collectives: their wrappers change their names from version to version."""

GROUPS: dict[str, dist.ProcessGroup] = {}
"""The groups of this process, by the names of the mesh's axes."""


def size(name: str) -> int:
    """The number of ranks in a group."""
    return GROUPS[name].size() if name in GROUPS else 1


def added(x: Tensor, name: str) -> Tensor:
    """The sum of ``x`` over a group, in new memory; no gradient."""
    if name not in GROUPS:
        return x.clone()
    return _done(functional.all_reduce(x.contiguous(), "sum", GROUPS[name].group_name))


def gathered(x: Tensor) -> Tensor:
    """The channels of all columns, [N, C, ...], of this column's, [N, C / columns, ...]."""
    if "column" not in GROUPS:
        return x
    mine = x.movedim(1, -1).contiguous()  # no copy where maps are channels-last
    columns, name = size("column"), GROUPS["column"].group_name
    parts = _done(functional.all_gather_into_tensor(mine, columns, name))
    return parts.reshape(columns, *mine.shape).movedim(0, -2).flatten(-2).movedim(-1, 1)


def own(x: Tensor) -> Tensor:
    """This column's channels, [N, C / columns, ...], of all, [N, C, ...]."""
    if "column" not in GROUPS:
        return x
    return x.tensor_split(size("column"), dim=1)[dist.get_rank(GROUPS["column"])]


def _own_sum(x: Tensor) -> Tensor:
    """This column's channels of the sum over columns: a reduce-scatter."""
    columns, name = size("column"), GROUPS["column"].group_name
    parts = torch.cat(x.movedim(1, -1).tensor_split(columns, dim=-1))
    return _done(functional.reduce_scatter_tensor(parts, "sum", columns, name)).movedim(-1, 1)


def _done(x: Tensor) -> Tensor:
    """Wait for the result of an operation of a group."""
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
    """y = sum of x over the ranks of ``data``.  Gradient: the sum of theirs."""
    return _called(_Sum.apply, total, x)


def gather(x: Tensor) -> Tensor:
    """The channels of all columns, for readers that compute the same on every one.

    Gradient: this column's channels of what is everywhere the same.
    """
    return _called(_Gather.apply, gather, x)


def gather_for_parts(x: Tensor) -> Tensor:
    """The channels of all columns, for readers of which every column has a part.

    Gradient: the sum of theirs, of which this column takes its channels.
    """
    return _called(_GatherForParts.apply, gather_for_parts, x)


def for_parts(x: Tensor) -> Tensor:
    """y = x, which every column has, for readers of which every column has a part.

    Gradient: the sum of theirs.
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
    """Batch normalisation of ``x`` [N, C, ...] by the statistics of all ranks of ``data``.

    The running statistics [C] are updated in place, as torch.nn.functional.batch_norm does.
    """
    if has_torch_function_unary(x):
        arguments = (x, running_mean, running_var, weight, bias, momentum, eps)
        recorded: Tensor = handle_torch_function(synchronised_batch_norm, (x,), *arguments)
        return recorded
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
    """Apply a function; a proxy of torch.fx records the call by its name instead."""
    if has_torch_function_unary(x):
        recorded: Tensor = handle_torch_function(name, (x,), x)
        return recorded
    return apply(x)
