"""Restoring a pickled compiled net, under the old name ``netspec.backends.compiled._restore``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from netspec.ir.parameter_names import earlier_names, named_anew
from netspec.lowering.lowered import lowered
from netspec.net import Net
from netspec.runtime.compiled import Compiled


def _restore(
    net: Net,
    arguments: tuple[Any, ...],
    tensors: dict[str, Tensor],
    training: bool,
    is_trained: bool,
) -> Compiled:
    backend, dtype, batch, chosen = arguments
    lowered_net = lowered(net.graph, backend, dtype=dtype, batch=batch, decided=chosen)
    tensors = dict(named_anew(earlier_names(net.graph), tensors))
    model = Compiled(net, lowered_net, tensors).train(training)
    model.is_trained = is_trained
    return model
