"""A net as written by hand in PyTorch: contiguous maps and PyTorch's own functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from netspec.ir.operator import Operator, pool_padding
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.parameter_names import attribute
from netspec.ir.shapes import Shape
from netspec.net import Net
from netspec.runtime.reference import Model


def plain(net: Net, tensors: Mapping[str, Tensor]) -> fx.GraphModule:
    """Return the net at inference, [N, C, H, W] contiguous, as a module of PyTorch's functions.

    PyTorch's own function is used where it exists: ``F.local_response_norm`` without groups, and
    pools that pad by themselves.  Other operators use the reference.
    """
    graph = net.graph
    lowered = fx.Graph()
    recorder = fx.proxy.GraphAppendingTracer(lowered)
    values: dict[str, fx.Proxy] = {
        name: fx.Proxy(lowered.placeholder(f"image{i}"), recorder)
        for i, name in enumerate(graph.inputs)
    }
    for stage in graph.stages():
        if stage.head or stage.name in values:
            continue
        inputs = graph.shapes_into(stage.name)
        attributes: dict[str, Any] = {
            name: fx.Proxy(lowered.get_attr(attribute(stage.name, name)), recorder)
            for name in [*stage.op.parameters(inputs), *stage.op.buffers(inputs)]
        }
        x = [values[operand] for operand in graph.operands(stage.name)]
        values[stage.name] = meaning(stage.op, inputs, x, attributes)
    results = tuple(values[name].node for name in graph.outputs)
    lowered.output(results[0] if len(results) == 1 else results)
    lowered.eliminate_dead_code()
    model = Model(net, tensors)
    module = fx.GraphModule(model, lowered, class_name=net.name)
    # Heads are not in the graph. They are added because the state dict has their parameters.
    for name, row in model.named_children():
        if name not in module._modules:
            module.add_module(name, row)
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return module.eval()


def meaning(
    op: Operator, inputs: Sequence[Shape], x: Sequence[Any], tensors: dict[str, Any]
) -> Any:
    """Return the output of an operator, by PyTorch's own function where it exists."""
    if isinstance(op, LocalResponseNorm) and op.groups == 1:
        return F.local_response_norm(x[0], op.n, op.alpha * op.n, op.beta, op.k)
    if isinstance(op, MaxPool) and (padding := pool_padding(op.windows(inputs))):
        is_ceil = op.round == "ceil"
        return F.max_pool2d(x[0], op.kernel, op.stride, padding, op.dilation, is_ceil)
    if (
        isinstance(op, AvgPool)
        and op.dilation == (1, 1)
        and (padding := pool_padding(op.windows(inputs)))
    ):
        is_ceil, counts = op.round == "ceil", bool(op.count_pad)
        return F.avg_pool2d(x[0], op.kernel, op.stride, padding, is_ceil, counts)
    return op.reference(inputs, *x, **tensors)
