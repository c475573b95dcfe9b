"""Ways to search: precision by the definition, bytes, and the images found."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch

from netspec.see.encoder import hyperplanes
from netspec.see.methods import KEPT, Comparison
from netspec.see.vectors import Vectors

DRAWN = torch.Generator().manual_seed(0)


def vectors(count: int, dtype: torch.dtype = torch.float32) -> Vectors:
    values = torch.randn(count, 10, generator=DRAWN).to(dtype)
    return Vectors(torch.arange(count), torch.arange(count) % 3, values)


def precision(nearest: np.ndarray, images: Vectors, queries: Vectors) -> float:
    """The mean of the parts of the right class, one query after the other."""
    parts = [
        sum(int(images.labels[n]) == int(label) for n in of_query) / KEPT
        for of_query, label in zip(nearest, queries.labels, strict=True)
    ]
    return sum(parts) / len(parts)


def test_a_search_by_codes() -> None:
    images, queries = vectors(50), vectors(9)
    comparison = Comparison(images.labels.numpy(), queries.labels.numpy(), 3)
    encoder = hyperplanes(torch.zeros(10, dtype=torch.float64), 1.0, 16, 0)
    method = comparison.codes("hyperplanes", encoder, images, queries)
    nearest, distances = comparison.kept["hyperplanes", 16]
    codes, wanted = encoder.encode(images.values), encoder.encode(queries.values)
    apart = np.bitwise_count(codes[np.newaxis] ^ wanted[:, np.newaxis]).sum(2)
    order = np.argsort(apart, axis=1, kind="stable")[:, :KEPT]
    assert np.array_equal(nearest, order)
    assert np.array_equal(distances, np.take_along_axis(apart, order, 1))
    assert (method.name, method.bits, method.bytes) == ("hyperplanes", 16, 2)
    assert method.precision == pytest.approx(precision(order, images, queries))
    assert method.queries_per_second > 0


@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float32, 40), (torch.float64, 80), (torch.bfloat16, 20)]
)
def test_a_search_by_activations(dtype: torch.dtype, size: int) -> None:
    images, queries = vectors(50, dtype), vectors(9, dtype)
    comparison = Comparison(images.labels.numpy(), queries.labels.numpy(), 3)
    method = comparison.features(images, queries)
    nearest, _ = comparison.kept["features", 0]
    order = torch.cdist(queries.values.double(), images.values.double()).argsort(1)[:, :KEPT]
    assert nearest.tolist() == order.tolist()
    assert (method.name, method.bits, method.bytes) == ("features", 0, size)
    assert method.precision == pytest.approx(precision(nearest, images, queries))


def test_the_precision_of_one_class_is_not_known() -> None:
    images, queries = vectors(50), vectors(9)
    zeros = np.zeros(50, np.int64)
    assert isnan(Comparison(zeros, zeros[:9], 1).features(images, queries).precision)
