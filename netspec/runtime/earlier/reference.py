"""Restoring a pickled reference, under the old name ``netspec.backends.reference._restore``."""

from __future__ import annotations

from torch import Tensor

from netspec.ir.parameter_names import earlier_names, named_anew
from netspec.net import Net
from netspec.runtime.reference import Model


def _restore(net: Net, tensors: dict[str, Tensor], training: bool) -> Model:
    return Model(net, named_anew(earlier_names(net.graph), tensors)).train(training)
