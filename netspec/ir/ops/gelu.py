"""Gaussian error linear unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import choice, keyword
from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Gelu(Operator):
    """Gaussian error linear unit (Hendrycks and Gimpel 2016, section 2).

    form=exact:  y = x/2 (1 + erf(x / sqrt(2)))

    form=tanh:   y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))

    The second is the paper's approximation; the two differ by up to 5e-4.  Implementations
    differ: PyTorch, Keras and ConvNeXt compute the exact form by default, JAX and GPT-2 the other
    one.
    """

    name = "gelu"
    example = "gelu"

    form: str = keyword(choice("exact", "tanh"), "which of the two formulas", default="exact")

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.GELU(self._approximate)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.gelu(x[0], approximate=self._approximate)

    @property
    def _approximate(self) -> str:
        """Return the form as an argument of PyTorch's function."""
        return "tanh" if self.form == "tanh" else "none"
