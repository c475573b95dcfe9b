"""The ONNX nodes of activations, of factors, and of normalisations of one image."""

from __future__ import annotations

from functools import partial, reduce
from math import pi, sqrt

from netspec.backends.onnx.graph import Form, NodeBuilder
from netspec.ir.operator import Operator
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.elu import Elu
from netspec.ir.ops.gain import Gain
from netspec.ir.ops.gelu import Gelu
from netspec.ir.ops.gn import GroupNorm
from netspec.ir.ops.hardsigmoid import HardSigmoid
from netspec.ir.ops.hardswish import HardSwish
from netspec.ir.ops.leaky_relu import LeakyRelu
from netspec.ir.ops.ln import LayerNorm
from netspec.ir.ops.mul import Mul
from netspec.ir.ops.prelu import PRelu
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.ops.scale import Scale
from netspec.ir.ops.silu import Silu


def _clip(builder: NodeBuilder, op: Clip, x: str) -> str:
    return builder.node("Clip", x, builder.reals("low", op.low), builder.reals("high", op.high))


def _scale(builder: NodeBuilder, op: Scale, x: str) -> str:
    return builder.node("Mul", x, builder.reals("factor", op.factor))


def _leaky_relu(builder: NodeBuilder, op: LeakyRelu, x: str) -> str:
    return builder.node("LeakyRelu", x, alpha=op.slope)


def _prelu(builder: NodeBuilder, op: PRelu, x: str) -> str:
    slope = builder.parameter("weight") if op.shared else _by_channel(builder, "weight")
    return builder.node("PRelu", x, slope)


def _elu(builder: NodeBuilder, op: Elu, x: str) -> str:
    return builder.node("Elu", x, alpha=op.alpha)


def _gelu(builder: NodeBuilder, op: Gelu, x: str) -> str:
    """Build the formula: ONNX has a node of its own only since opset 20."""
    if op.form == "exact":
        t = builder.node("Erf", builder.node("Mul", x, builder.reals("slope", sqrt(0.5))))
    else:
        square = builder.node("Mul", x, x)
        term = builder.node("Mul", square, builder.reals("cubic", 0.044715 * sqrt(2 / pi)))
        factor = builder.node("Add", term, builder.reals("linear", sqrt(2 / pi)))
        t = builder.node("Tanh", builder.node("Mul", x, factor))
    half = builder.node("Mul", x, builder.reals("half", 0.5))
    return builder.node("Mul", half, builder.node("Add", t, builder.reals("one", 1.0)))


def _silu(builder: NodeBuilder, op: Silu, x: str) -> str:
    return builder.node("Mul", x, builder.node("Sigmoid", x))


def _hardsigmoid(builder: NodeBuilder, op: HardSigmoid, x: str) -> str:
    return builder.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _hardswish(builder: NodeBuilder, op: HardSwish, x: str) -> str:
    return builder.node("HardSwish", x)


def _mul(builder: NodeBuilder, op: Mul, *x: str) -> str:
    return reduce(partial(builder.node, "Mul"), x)


def _gain(builder: NodeBuilder, op: Gain, x: str) -> str:
    return builder.node("Mul", x, _by_channel(builder, "weight"))


def _layer_norm(builder: NodeBuilder, op: LayerNorm, x: str) -> str:
    weight, bias = builder.parameter("weight"), builder.parameter("bias")
    if not builder.inputs[0].is_map:
        return builder.node("LayerNormalization", x, weight, bias, epsilon=op.eps)
    y = builder.node("Transpose", x, perm=[0, 2, 3, 1])
    y = builder.node("LayerNormalization", y, weight, bias, epsilon=op.eps)
    return builder.node("Transpose", y, perm=[0, 3, 1, 2])


def _group_norm(builder: NodeBuilder, op: GroupNorm, x: str) -> str:
    """Build an instance normalisation of the groups: ONNX's own has another meaning since opset
    21."""
    ones, zeros = (builder.reals(n, [v] * op.groups) for n, v in (("ones", 1.0), ("zeros", 0.0)))
    y = builder.node("Reshape", x, builder.integers("groups", [0, op.groups, -1]))
    y = builder.node("InstanceNormalization", y, ones, zeros, epsilon=op.eps)
    y = builder.node("Reshape", y, builder.integers("map", [0, *builder.inputs[0].torch]))
    y = builder.node("Mul", y, _by_channel(builder, "weight"))
    return builder.node("Add", y, _by_channel(builder, "bias"))


def _by_channel(builder: NodeBuilder, name: str) -> str:
    """Return the name of a parameter [channels] in a shape that is broadcast over the operand."""
    known = builder.parameter(name)
    if not builder.inputs[0].is_map:
        return known
    return builder.node("Unsqueeze", known, builder.integers(f"axes_{name}", [1, 2]))


ACTIVATIONS: dict[type[Operator], Form] = {
    Clip: _clip,
    Relu6: _clip,
    Scale: _scale,
    LeakyRelu: _leaky_relu,
    PRelu: _prelu,
    Elu: _elu,
    Gelu: _gelu,
    Silu: _silu,
    HardSigmoid: _hardsigmoid,
    HardSwish: _hardswish,
    Mul: _mul,
    Gain: _gain,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
}
"""The form of each operator of this file."""
