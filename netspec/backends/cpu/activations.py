"""The element-wise steps of oneDNN that compute the activations of netspec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netspec.backends.cpu.onednn.primitives import Algorithm, Elementwise
from netspec.ir.operator import Operator
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.elu import Elu
from netspec.ir.ops.gelu import Gelu
from netspec.ir.ops.hardsigmoid import HardSigmoid
from netspec.ir.ops.hardswish import HardSwish
from netspec.ir.ops.leaky_relu import LeakyRelu
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.ops.silu import Silu
from netspec.ir.ops.tanh import Tanh

Steps = tuple[Elementwise, ...]

RELU = (Elementwise(Algorithm.RELU),)


def _clip(op: Clip) -> Steps:
    return (Elementwise(Algorithm.CLIP, op.low, op.high),)


def _gelu(op: Gelu) -> Steps:
    return (Elementwise(Algorithm.GELU_ERF if op.form == "exact" else Algorithm.GELU_TANH),)


def _tanh(op: Tanh) -> Steps:
    before = (Elementwise(Algorithm.LINEAR, op.slope),) if op.slope != 1 else ()
    after = (Elementwise(Algorithm.LINEAR, op.scale),) if op.scale != 1 else ()
    return (*before, Elementwise(Algorithm.TANH), *after)


STEPS: dict[type[Operator], Callable[[Any], Steps]] = {
    Clip: _clip,
    Relu6: _clip,
    Elu: lambda op: (Elementwise(Algorithm.ELU, op.alpha),),
    Gelu: _gelu,
    HardSigmoid: lambda op: (Elementwise(Algorithm.HARDSIGMOID, 1 / 6, 0.5),),
    HardSwish: lambda op: (Elementwise(Algorithm.HARDSWISH, 1 / 6, 0.5),),
    LeakyRelu: lambda op: (Elementwise(Algorithm.RELU, op.slope),),
    Sigmoid: lambda op: (Elementwise(Algorithm.LOGISTIC),),
    Silu: lambda op: (Elementwise(Algorithm.SWISH, 1.0),),
    Tanh: _tanh,
}


def steps_of(op: Operator) -> Steps:
    """Return the steps that compute an activation, in order."""
    return STEPS[type(op)](op)
