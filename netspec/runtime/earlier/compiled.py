"""What a pickle of a compiled net calls, by the name ``netspec.backends.compiled._restore``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from netspec.lowering.lowered import lowered
from netspec.net import Net
from netspec.runtime.compiled import Compiled


def _restore(
    net: Net, how: tuple[Any, ...], tensors: dict[str, Tensor], training: bool, is_trained: bool
) -> Compiled:
    backend, dtype, batch, given = how
    made = lowered(net.graph, backend, dtype=dtype, batch=batch, given=given)
    model = Compiled(net, made, tensors).train(training)
    model.is_trained = is_trained
    return model
