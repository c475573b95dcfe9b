"""Philox, and that what is drawn depends on what it is for and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from netspec.ir.randomness import _kept_by_numpy, _kept_by_torch, generator, keep, masks, philox
from tests.examples import examples

KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip
"""Counter, key and words of philox4x32-10, from the authors' own tests (Random123, kat_vectors)."""


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("array", [torch.tensor, np.array], ids=["torch", "numpy"])
@pytest.mark.parametrize(("counter", "key", "wanted"), KNOWN)
def test_philox_gives_the_authors_numbers(
    array: Callable[[list[int]], Any], counter: str, key: str, wanted: str
) -> None:
    low, high = words(key)
    counter_words = [array([word]) for word in words(counter)]
    assert [word.item() for word in philox(*counter_words, key=high << 32 | low)] == words(wanted)


# ------------------------------------------------------------------------------------- generators


def test_a_generator_is_a_function_of_seed_purpose_and_counter() -> None:
    def drawn(*what: int | str) -> tuple[int, ...]:
        return tuple(generator(*what).integers(2**62, size=4))  # type: ignore[arg-type]

    cases = [
        (0, "order"), (1, "order"), (0, "augment"), (0, "order", 1), (0, "order", 0, 1),
        (0, "order", 1, 0, 1), (0, "order", 2**40), (10, "order"), (-1, "order"),
    ]  # fmt: skip
    values = {case: drawn(*case) for case in reversed(cases)}
    assert len(set(values.values())) == len(cases)
    assert all(drawn(*case) == values[case] for case in cases)


def test_generators_of_neighbours_are_independent() -> None:
    """Of 1,000 pairs of a uniform variable the correlation deviates by 0.032; five times that."""
    first = np.array([generator(0, "augment", 3, example).random() for example in range(1_001)])
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.16
    assert abs(first.mean() - 0.5) < 5 * (1 / 12 / 1_001) ** 0.5


def test_a_counter_has_three_words() -> None:
    with pytest.raises(AssertionError, match="the last word"):
        generator(0, "a", 1, 2, 3, 4)


# ------------------------------------------------------------------------------------------ masks


def mask(
    size: tuple[int, ...], samples: list[int] | range, *, seed: int = 1, step: int = 2,
    layer: str = "F6.dropout", rate: float = 0.5, column: int = 0,
) -> Tensor:  # fmt: skip
    x = torch.zeros(len(samples), *size)
    with masks(seed, step, torch.tensor(list(samples))):
        return keep(x, rate, layer, column)


sizes = st.one_of(
    st.tuples(st.integers(1, 40)),
    st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4)),
)


@examples(60)
@given(sizes, st.integers(1, 6), st.data())
def test_parts_of_a_batch_have_the_masks_of_the_whole(
    size: tuple[int, ...], batch: int, data: st.DataObject
) -> None:
    samples = data.draw(st.permutations(range(100, 100 + batch)))
    cut = data.draw(st.integers(0, batch))
    whole = mask(size, samples)
    parts = [mask(size, part) for part in (samples[:cut], samples[cut:])]
    assert torch.equal(torch.cat(parts), whole)
    in_order = mask(size, sorted(samples))
    assert torch.equal(in_order[[s - 100 for s in samples]], whole)


@examples(60)
@given(sizes, st.integers(1, 4))
def test_columns_have_the_masks_of_their_channels(size: tuple[int, ...], columns: int) -> None:
    """Also where the numbers of a column do not begin where four words do."""
    channels, *pixels = size
    whole = mask((channels * columns, *pixels), range(3))
    parts = [mask(size, range(3), column=c) for c in range(columns)]
    assert torch.equal(torch.cat(parts, dim=1), whole)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=40), st.integers(0, 9), st.integers(0, 900))
def test_what_other_devices_compute_is_what_the_cpu_does(
    samples: list[int], start: int, count: int
) -> None:
    indices = torch.tensor(samples, dtype=torch.int64)
    rest = range(start, start + count), 2**32 - 1, 2**64 - 5, 2**31 + 7
    by_numpy = torch.from_numpy(_kept_by_numpy(indices.numpy(), *rest))
    assert torch.equal(_kept_by_torch(indices, *rest), by_numpy)


def test_masks_differ_by_seed_step_layer_and_sample() -> None:
    first = mask((64,), range(1))
    others = [
        mask((64,), range(1), seed=3),
        mask((64,), range(1), step=3),
        mask((64,), range(1), layer="F7.dropout"),
        mask((64,), range(1, 2)),
    ]
    distinct = {tuple(m.flatten().tolist()) for m in (first, *others)}
    assert len(distinct) == 5
    assert torch.equal(mask((64,), range(1)), first)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.7, 0.999])
def test_values_are_dropped_as_often_as_asked(rate: float) -> None:
    """Of n = 400,000 values the share deviates by sqrt(rate (1 - rate) / n); five times that."""
    kept = mask((4_000,), range(100), rate=rate)
    allowed = 5 * (rate * (1 - rate) / kept.numel()) ** 0.5
    assert abs(float((~kept).double().mean()) - rate) <= allowed


def test_what_is_dropped_is_independent_of_neighbours_in_every_direction() -> None:
    """Correlations of n = 200,000 pairs of fair coins deviate by 1 / sqrt(n); five times that."""
    steps = [mask((2_000,), range(101), step=step).double() - 0.5 for step in (6, 7)]
    other = mask((2_000,), range(101), layer="F7.dropout", step=6).double() - 0.5
    a = steps[0]
    pairs = {
        "place": (a[:, 1:], a[:, :-1]),
        "word of four": (a[:, 4:], a[:, :-4]),
        "sample": (a[1:], a[:-1]),
        "step": (a, steps[1]),
        "layer": (a, other),
    }
    for name, (x, y) in pairs.items():
        assert abs(float((4 * x * y).mean())) < 5 / x.numel() ** 0.5, name


def test_rows_and_columns_are_not_favoured() -> None:
    """The counts of 256 samples and of 256 places are binomial: chi-square of either stays below
    its mean 256 plus five times sqrt(2 * 256)."""
    kept = mask((256,), range(256)).double()
    for axis in (0, 1):
        counts = kept.sum(axis)
        chi_square = float(((counts - 128) ** 2 / 64).sum())
        assert abs(chi_square - 256) < 5 * (2 * 256) ** 0.5


def test_bits_of_every_height_are_fair() -> None:
    """A rate tests the upper bits; here is each of the 32, in 40,000 words, by five deviations."""
    places = torch.arange(10_000)
    zero = torch.zeros(1, dtype=torch.int64)
    numbers = torch.cat(philox(places, zero, zero, zero, key=7))
    for bit in range(32):
        share = float((numbers >> bit & 1).double().mean())
        assert abs(share - 0.5) < 5 * 0.5 / 40_000**0.5, bit
    assert len(numbers.unique()) > 39_990  # of 40,000 draws out of 2**32, 0.2 pairs meet


def test_without_masks_the_numbers_are_torchs() -> None:
    x = torch.zeros(2, 1_000)
    torch.manual_seed(0)
    first, second = keep(x, 0.5, "a"), keep(x, 0.5, "a")
    torch.manual_seed(0)
    assert torch.equal(keep(x, 0.5, "a"), first)
    assert not torch.equal(first, second)


def test_masks_nest_and_end_with_their_block() -> None:
    x = torch.zeros(1, 64)
    with masks(1, 1, torch.tensor([5])):
        outer = keep(x, 0.5, "a")
        with pytest.raises(ValueError, match="masks are set for 1"), masks(1, 2, torch.tensor([5])):
            keep(torch.zeros(2, 64), 0.5, "a")
        with masks(1, 2, torch.tensor([5])):
            assert not torch.equal(keep(x, 0.5, "a"), outer)
        assert torch.equal(keep(x, 0.5, "a"), outer)
    assert not torch.equal(keep(x, 0.5, "a"), keep(x, 0.5, "a"))


def test_every_image_needs_its_number() -> None:
    message = "a: dropout masks are set for 2 samples, but the batch has 3 images"
    with masks(1, 1, torch.tensor([5, 6])), pytest.raises(ValueError, match=message):
        keep(torch.zeros(3, 4), 0.5, "a")
