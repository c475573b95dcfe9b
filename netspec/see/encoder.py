"""Binary codes of activations: a small network whose outputs are bits, or random hyperplanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.errors import DataError
from netspec.files.tensors import bytes_of
from netspec.ir.randomness import generator

BLOCK = 256
"""Images whose activations are in memory in float64 at once."""

Layer = tuple[Tensor, Tensor]
"""A weight [outputs, inputs] and a bias [outputs], float32."""


@dataclass(frozen=True)
class Encoder:
    """A function from activations to codes: layers with tanh between them; a bit is output > 0.

    Attributes:
        mean: mean activations, [D] float64, which are subtracted.
        scale: their standard deviation over images and units, which the rest is divided by.
        layers: the layers; the last one has an output per bit.
    """

    mean: Tensor
    scale: float
    layers: tuple[Layer, ...]

    @property
    def bits(self) -> int:
        """Length of a code in bits."""
        return len(self.layers[-1][1])

    @property
    def content(self) -> bytes:
        """The values of all tensors."""
        scale = torch.tensor(self.scale, dtype=torch.float64)
        tensors = (self.mean, scale, *chain.from_iterable(self.layers))
        return b"".join(bytes_of(tensor) for tensor in tensors)

    def standard(self, values: Tensor) -> Tensor:
        """Return activations [..., D] as the layers expect them, float32."""
        return ((values.double() - self.mean) / self.scale).float()

    def encode(self, values: Tensor) -> NDArray[np.uint8]:
        """Return the codes of activations [N, D] as packed bits, [N, bits / 8].

        The code of an image does not depend on the others.
        """
        from netspec.training.process import threads  # slow to import, as all of training

        codes = np.empty((len(values), self.bits), np.bool_)
        with torch.inference_mode(), threads(1):  # a vector is too small to be split
            for number, value in enumerate(values):
                # One image at a time: the order of the sums in a product of matrices depends on
                # the number of rows, and a bit can depend on the last digit.
                output = self.standard(value)
                for place, (weight, bias) in enumerate(self.layers):
                    output = torch.mv(weight, output.tanh() if place else output) + bias
                codes[number] = (output > 0).numpy()
        return np.packbits(codes, axis=1)


def scale_of(values: Tensor, row: str) -> tuple[Tensor, float]:
    """Return the mean of activations [N, D], and the standard deviation over images and units.

    Raises:
        DataError: all images have the same activations.
    """
    from netspec.training.process import threads  # slow to import, as all of training

    with threads(1):  # which split sums, and so change their last digits
        mean = values.mean(0, dtype=torch.float64)
        squares = 0.0
        for start in range(0, len(values), BLOCK):  # a copy of all in float64 may be large
            some = values[start : start + BLOCK].double() - mean
            squares += float(torch.square(some).sum())
    scale = (squares / max(1, values.numel())) ** 0.5
    if not scale:
        raise DataError(
            f"the activations of {row} are the same for all images, so codes cannot distinguish "
            "them: name another row with --row"
        )
    return mean, scale


def hyperplanes(mean: Tensor, scale: float, bits: int, seed: int) -> Encoder:
    """Return the encoder whose bits are the sides of random hyperplanes through the mean.

    Charikar 2002, "Similarity estimation techniques from rounding algorithms".
    """
    normals = generator(seed, "hyperplanes", bits).normal(size=(bits, len(mean)))
    weight = torch.from_numpy(normals).float()
    return Encoder(mean, scale, ((weight, torch.zeros(bits)),))


def layers_of(tensors: Sequence[Tensor]) -> tuple[Layer, ...]:
    """Return layers from weights and biases in turn, without gradients."""
    parts = [tensor.detach().clone() for tensor in tensors]
    return tuple(zip(parts[::2], parts[1::2], strict=True))
