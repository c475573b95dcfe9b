"""The activations that convolutions of the CPU backend are tried with."""

from __future__ import annotations

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

CONVOLVED: dict[str, Operator] = {
    "clip": Clip(low=-0.5, high=1.5),
    "clip, without 0": Clip(low=0.5, high=1.5),
    "relu6": Relu6(),
    "elu": Elu(alpha=0.7),
    "gelu": Gelu(),
    "gelu, tanh": Gelu(form="tanh"),
    "hardsigmoid": HardSigmoid(),
    "hardswish": HardSwish(),
    "leaky_relu": LeakyRelu(slope=0.2),
    "sigmoid": Sigmoid(),
    "silu": Silu(),
    "tanh": Tanh(),
    "tanh, scaled": Tanh(scale=1.7159, slope=2 / 3),
}
