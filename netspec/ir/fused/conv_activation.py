"""Convolution with an activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.elu import Elu
from netspec.ir.ops.gelu import Gelu
from netspec.ir.ops.hardsigmoid import HardSigmoid
from netspec.ir.ops.hardswish import HardSwish
from netspec.ir.ops.leaky_relu import LeakyRelu
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.ops.silu import Silu
from netspec.ir.ops.tanh import Tanh
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor

ACTIVATIONS = (Clip, Elu, Gelu, HardSigmoid, HardSwish, LeakyRelu, Sigmoid, Silu, Tanh)
"""Operators that a convolution can apply to its result.  ReLU has an operator of its own, ConvRelu,
because more kernels have it."""


@dataclass(frozen=True, kw_only=True)
class ConvActivation(Conv):
    """Convolution with bias and one of ``ACTIVATIONS``: y = activation(conv(x))."""

    name = "conv_act"

    activation: Operator

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        growth = super().growth(inputs, **parameters)
        return growth.then(self.activation.growth([self.shape(inputs)]))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        y = super().reference(inputs, *x, **parameters)
        return self.activation.reference([self.shape(inputs)], y)
