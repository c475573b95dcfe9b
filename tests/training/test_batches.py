from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec import DataError
from netspec.data.preprocessing import Prepare, for_testing
from netspec.ir.recipe import CenterCrop, Crop, Flip, PrincipalComponents, Subtract, TenCrop
from netspec.ir.shapes import Shape
from netspec.training.augment import for_training
from netspec.training.batches import Batch, Batches, InOrder, part
from netspec.training.statistics import measured
from tests.training.example_data import Drawn, recipe

SHAPE = Shape((8, 8, 3))
COUNT = 29
AUGMENT = [
    Crop(size=(8, 8)),
    Flip(),
    PrincipalComponents(deviation=0.1, of="deviation"),
]
RECIPE = recipe([Subtract(what="mean", over="image")], AUGMENT)


def batches(data: Drawn | None = None, **options: int) -> Batches:
    data = data or Drawn(COUNT, (10, 11))
    statistics = measured(data, RECIPE, SHAPE, allowed=COUNT)
    prepare, augment = for_training(RECIPE, SHAPE, statistics)
    return Batches(data, prepare, augment, SHAPE, **{"batch": 8, "seed": 7, **options})


def assert_same(a: Batch, b: Batch) -> None:
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y


def test_an_epoch_has_each_example_once() -> None:
    first_epoch = list(batches().epoch(0))
    assert [len(batch.numbers) for batch in first_epoch] == [8, 8, 8, 5]
    assert batches().steps == 4
    numbers = torch.cat([batch.numbers for batch in first_epoch])
    assert sorted(numbers.tolist()) == list(range(COUNT))
    assert numbers.tolist() != list(range(COUNT))
    labels = torch.cat([batch.labels for batch in first_epoch])
    assert torch.equal(labels, numbers % 2)
    assert not any(batch.faults for batch in first_epoch)


def test_images_are_channels_last_and_float32() -> None:
    images = next(batches().epoch(0)).images
    assert images.shape == (8, 3, 8, 8)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_an_image_is_its_own_whatever_its_place_in_the_batch() -> None:
    data = Drawn(COUNT, (10, 11))
    statistics = measured(data, RECIPE, SHAPE)
    prepare, augment = for_training(RECIPE, SHAPE, statistics)
    from netspec.ir.randomness import generator

    for batch in batches().epoch(3):
        for image, number in zip(batch.images, batch.numbers.tolist(), strict=True):
            own = augment(prepare(data.pixels(number)), generator(7, "augment", 3, number))
            assert np.array_equal(image.permute(1, 2, 0).numpy(), own)


def test_epochs_and_seeds_differ() -> None:
    first = [batches(seed=seed).epoch(epoch) for seed, epoch in [(7, 0), (7, 1), (8, 0)]]
    numbers = [tuple(next(batch).numbers.tolist()) for batch in first]
    assert len(set(numbers)) == 3


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_make_the_same_batches(workers: int) -> None:
    alone, many = batches(), batches(workers=workers)
    for epoch in (0, 1):
        for a, b in zip(alone.epoch(epoch), many.epoch(epoch), strict=True):
            assert_same(a, b)
    epoch = many.epoch(2)  # left in the middle
    next(epoch)
    for a, b in zip(alone.epoch(3, start=1), many.epoch(3, start=1), strict=True):
        assert_same(a, b)
    many.close()


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_make_the_parts_of_the_same_batches(ranks: int) -> None:
    parts = [batches(rank=rank, ranks=ranks).epoch(1) for rank in range(ranks)]
    for whole, *own in zip(batches().epoch(1), *parts, strict=True):
        assert torch.equal(torch.cat([batch.images for batch in own]), whole.images)
        assert torch.equal(torch.cat([batch.numbers for batch in own]), whole.numbers)


@given(count=st.integers(0, 40), ranks=st.integers(1, 9))
def test_parts_are_contiguous_and_even(count: int, ranks: int) -> None:
    numbers = np.arange(count)
    parts = [part(numbers, rank, ranks) for rank in range(ranks)]
    assert np.array_equal(np.concatenate(parts), numbers)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_an_epoch_goes_on_where_it_was_left(start: int) -> None:
    whole = list(batches().epoch(2))
    rest = list(batches().epoch(2, start))
    assert len(rest) == 4 - start
    for a, b in zip(whole[start:], rest, strict=True):
        assert_same(a, b)


def test_a_rank_without_images_gets_an_empty_batch() -> None:
    *_, last = batches(Drawn(9, (10, 11)), rank=0, ranks=2).epoch(0)
    assert last.images.shape == (0, 3, 8, 8)


def test_without_augmentation_the_centre_is_shown() -> None:
    data = Drawn(5, (10, 11))
    plain = Batches(data, Prepare([], SHAPE, None), None, SHAPE, batch=5, seed=0)
    batch = next(plain.epoch(0))
    for image, number in zip(batch.images, batch.numbers.tolist(), strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), data.pixels(number)[1:9, 1:9])


@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_images_are_left_out_and_told(workers: int) -> None:
    loader = batches(Drawn(COUNT, (10, 11), corrupt=(3, 20)), workers=workers, allowed=2)
    for epoch in (0, 1):  # each counts once, however often it is met
        told = [fault for batch in loader.epoch(epoch) for fault in batch.faults]
        assert len(told) == 2
        assert any("example 20: cannot read image-20.png: it is truncated" in f for f in told)
    kept = torch.cat([batch.numbers for batch in loader.epoch(0)]).tolist()
    assert sorted(kept) == [i for i in range(COUNT) if i not in (3, 20)]
    sound = {
        int(n): x for b in batches().epoch(0) for n, x in zip(b.numbers, b.labels, strict=True)
    }
    for batch in loader.epoch(0):
        assert [sound[n] for n in batch.numbers.tolist()] == batch.labels.tolist()
    loader.close()


def test_more_corrupt_images_than_allowed_end_it() -> None:
    loader = batches(Drawn(COUNT, (10, 11), corrupt=(3, 20)), allowed=1)
    with pytest.raises(
        DataError, match=r"2 images of drawn images cannot be used, and at most 1 are"
    ):
        list(loader.epoch(0))


def test_a_batch_of_corrupt_images_is_empty() -> None:
    loader = batches(Drawn(4, (10, 11), corrupt=(2,)), batch=1)
    assert sorted(len(batch.images) for batch in loader.epoch(0)) == [0, 1, 1, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_tests_go_through_the_data_in_order(workers: int) -> None:
    data, test_recipe = Drawn(COUNT, (10, 11)), recipe()
    for evaluate, views in [(CenterCrop(), 1), (TenCrop(), 10)]:
        test_recipe.evaluate = [evaluate]
        view = for_testing(test_recipe, SHAPE, None)
        tests = InOrder(data, view, SHAPE, batch=8, workers=workers)
        test_batches = list(tests)
        assert torch.cat([batch.numbers for batch in test_batches]).tolist() == list(range(COUNT))
        assert test_batches[0].images.shape == (8, views, 3, 8, 8)
        expected = view(data.pixels(9))
        assert np.array_equal(test_batches[1].images[1].permute(0, 2, 3, 1).numpy(), expected)
        assert test_batches[0].images.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
        assert len(list(tests)) == 4, "and again"
        tests.close()


def test_ranks_share_a_test() -> None:
    data, view = Drawn(COUNT, (10, 11)), for_testing(recipe(), SHAPE, None)
    parts = [InOrder(data, view, SHAPE, batch=8, rank=rank, ranks=3) for rank in range(3)]
    numbers = [n for tests in parts for batch in tests for n in batch.numbers.tolist()]
    assert sorted(numbers) == list(range(COUNT))


def test_the_batches_of_a_large_data_set_take_little_memory() -> None:
    # numbers of all batches are in memory: 8 bytes per image and some hundred per batch; an array
    # of all numbers for each batch would be 800 MB
    data = Drawn(100_000, (8, 8))
    tests = InOrder(data, for_testing(None, SHAPE, None), SHAPE, batch=100)
    tracemalloc.start()
    try:
        next(iter(tests))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_testing_can_begin_with_an_example() -> None:
    data = Drawn(20, (8, 8))
    tests = InOrder(data, for_testing(None, SHAPE, None), SHAPE, batch=8)
    numbers = [batch.numbers.tolist() for batch in tests.beginning_with(8)]
    assert numbers == [[*range(8, 16)], [*range(16, 20)]]
    assert not [*tests.beginning_with(20)]
