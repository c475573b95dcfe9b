"""Codes of activations: bits by the definition, the same for any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netspec.errors import DataError
from netspec.see.encoder import Encoder, hyperplanes, scale_of
from netspec.training import process

DRAWN = torch.Generator().manual_seed(1)


def encoder(size: int = 20, bits: int = 16) -> Encoder:
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    layers = ((drawn(7, size), drawn(7)), (drawn(bits, 7), drawn(bits)))
    return Encoder(drawn(size).double(), 2.5, layers)


def test_bits_are_the_signs_of_the_outputs() -> None:
    made, values = encoder(), torch.randn(33, 20, generator=DRAWN)
    (first, first_bias), (last, last_bias) = made.layers
    standard = (values.double() - made.mean) / 2.5
    hidden = torch.tanh(standard @ first.double().T + first_bias.double())
    outputs = hidden @ last.double().T + last_bias.double()
    assert outputs.abs().min() > 1e-5  # far from 0 in float32, so rounding changes no bit
    codes = made.encode(values)
    assert codes.shape == (33, 2)
    assert codes.dtype == np.uint8
    assert np.array_equal(np.unpackbits(codes, axis=1), (outputs > 0).numpy())


def test_a_code_does_not_depend_on_the_other_images() -> None:
    made, values = encoder(), torch.randn(33, 20, generator=DRAWN)
    # outputs near to 0, where the last digit decides
    for weight, _ in made.layers:
        weight.mul_(1e-3)
    made.layers[-1][1].mul_(0)
    codes = made.encode(values)
    for size in (1, 2, 5, 16):
        parts = [made.encode(part) for part in values.split(size)]
        assert np.array_equal(np.concatenate(parts), codes)
    assert np.array_equal(made.encode(values.flip(0))[::-1], codes)


def test_the_number_of_threads_does_not_change_scale() -> None:
    values = torch.randn(300, 500, generator=DRAWN)
    results = []
    for threads in (1, 2):
        with process.threads(threads):
            results.append(scale_of(values, "F6"))
            assert torch.get_num_threads() == threads
    (mean, scale), (other, again) = results
    assert torch.equal(mean, other)
    assert scale == again
    assert scale == pytest.approx(float((values - values.mean(0)).double().square().mean().sqrt()))


def test_equal_activations_cannot_be_encoded() -> None:
    with pytest.raises(DataError, match="the activations of F6 are the same for all images"):
        scale_of(torch.ones(5, 3), "F6")


def test_hyperplanes_depend_on_the_seed_and_are_random() -> None:
    mean = torch.zeros(100, dtype=torch.float64)
    one, same, other = (hyperplanes(mean, 1.0, 64, seed).layers[0][0] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    # 6,400 normal numbers: mean and deviation have standard errors of 1/80 and 1/113
    assert abs(float(one.mean())) < 5 / 80
    assert abs(float(one.std()) - 1) < 5 / 113


def test_hyperplanes_keep_angles() -> None:
    """The part of bits that differ is the angle divided by pi (Charikar 2002)."""
    made = hyperplanes(torch.zeros(3, dtype=torch.float64), 1.0, 512, 0)
    angle = np.pi / 3
    codes = made.encode(torch.tensor([[1.0, 0, 0], [np.cos(angle), np.sin(angle), 0]]))
    apart = np.bitwise_count(codes[0] ^ codes[1]).sum() / 512
    # a binomial of 512 draws has a deviation of sqrt(1/3 2/3 / 512) = 0.021
    assert abs(apart - 1 / 3) < 4 * 0.021
