from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec import DataError, load
from netspec.data.images import resized
from netspec.data.preprocessing import Scaling
from netspec.ir.randomness import generator
from netspec.ir.recipe import Crop, Flip, PrincipalComponents, Range, Rescale, Resize, Subtract
from netspec.ir.shapes import Shape
from netspec.training.augment import Augment, as_it_comes, for_training, place
from netspec.training.statistics import Statistics, measured
from tests.training.example_data import Drawn, recipe

RAW = Scaling([], None)
SHAPE = Shape((8, 8, 3))


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    return measured(Drawn(20, (8, 8)), recipe(), SHAPE)


def numbered(height: int, width: int, channels: int = 3) -> np.ndarray:
    """An image whose pixels say where they are."""
    places = np.arange(height * width, dtype=np.float32).reshape(height, width, 1)
    return np.repeat(places, channels, axis=2)


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    room=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    seed=st.integers(0, 2**64),
)
def test_a_crop_is_a_part_of_the_image(
    size: tuple[int, int], room: tuple[int, int], seed: int
) -> None:
    image = numbered(size[0] + room[0], size[1] + room[1])
    crop = Augment([Crop(size=size)], Shape((*size, 3)), RAW, None)(image, generator(seed, "x"))
    top, left = divmod(int(crop[0, 0, 0]), image.shape[1])
    assert np.array_equal(crop, image[top : top + size[0], left : left + size[1]])


def test_each_of_33_x_33_places_occurs_as_often_as_any_other() -> None:
    drawn = generator(0, "places")
    count = 40 * 33 * 33
    places = np.array([place((256, 256), (224, 224), drawn) for _ in range(count)])
    assert places.min() == 0
    assert places.max() == 32
    times = np.bincount(places @ [33, 1], minlength=33 * 33)
    assert (times > 0).all()
    # chi squared with 1088 degrees of freedom: mean 1088, deviation sqrt(2 * 1088); 5 of them
    chi = ((times - 40) ** 2 / 40).sum()
    assert abs(chi - 1088) < 5 * math.sqrt(2 * 1088)


def test_one_image_in_two_is_reflected_left_to_right() -> None:
    augment = Augment([Flip()], Shape((3, 5, 3)), RAW, None)
    image = numbered(3, 5)
    mirrored = np.stack([image[:, 4 - column] for column in range(5)], axis=1)
    shown = [augment(image, generator(0, "flip", i)) for i in range(400)]
    flips = sum(np.array_equal(x, mirrored) for x in shown)
    assert flips + sum(np.array_equal(x, image) for x in shown) == 400
    assert abs(flips - 200) < 5 * 10  # the deviation of 400 tosses is 10


@pytest.mark.parametrize("of", ["eigenvalue", "deviation"])
def test_colours_shift_as_the_papers_formula_says(of: str, statistics: Statistics) -> None:
    step = PrincipalComponents(deviation=0.1, of=of)
    image = np.random.default_rng(0).uniform(-128, 128, (8, 8, 3)).astype(np.float32)
    shown = Augment([step], SHAPE, RAW, statistics)(image, generator(5, "augment", 3, 4))
    alphas = generator(5, "augment", 3, 4).normal(0, 0.1, 3)
    for y, x in product(range(8), range(8)):
        for channel in range(3):
            quantity = 0.0
            for i in range(3):
                magnitude = statistics.eigenvalues[i] / 255**2  # of colours from 0 to 1
                if of == "deviation":
                    magnitude = math.sqrt(magnitude)
                quantity += 255 * statistics.eigenvectors[channel, i] * alphas[i] * magnitude
            expected = float(image[y, x, channel]) + quantity
            # the shift is rounded to float32, and so is the sum
            allowed = (abs(quantity) + abs(expected)) * 2**-24
            assert abs(float(shown[y, x, channel]) - expected) <= allowed


def test_one_shift_an_image_a_use(statistics: Statistics) -> None:
    augment = Augment([PrincipalComponents(deviation=0.1, of="deviation")], SHAPE, RAW, statistics)
    black = np.zeros((8, 8, 3), np.float32)
    uses = [augment(black, generator(0, "augment", epoch, i)) for epoch in (0, 1) for i in (0, 1)]
    assert all((x == x[0, 0]).all() for x in uses)
    assert len({tuple(x[0, 0]) for x in uses}) == 4
    again = augment(black, generator(0, "augment", 1, 1))
    assert np.array_equal(again, uses[3])


def test_shifts_have_the_deviation_along_each_axis_that_is_asked_for(
    statistics: Statistics,
) -> None:
    augment = Augment([PrincipalComponents(deviation=0.1, of="deviation")], SHAPE, RAW, statistics)
    black = np.zeros((8, 8, 3), np.float32)
    shifts = np.array([augment(black, generator(1, "x", i))[0, 0] for i in range(2000)])
    along = (shifts @ statistics.eigenvectors).std(axis=0)
    # the deviation of a deviation of n draws is 1 / sqrt(2 n) of it; 5 of them
    expected = 0.1 * np.sqrt(statistics.eigenvalues)
    np.testing.assert_allclose(along, expected, rtol=5 / math.sqrt(4000))


@pytest.mark.parametrize("of", ["eigenvalue", "deviation"])
def test_behind_range_the_axes_are_those_of_its_values(of: str, statistics: Statistics) -> None:
    step, by = PrincipalComponents(deviation=0.1, of=of), Range(low=0, high=1)
    _, augment = for_training(recipe([by], [step]), SHAPE, statistics)
    shown = augment(np.zeros((8, 8, 3), np.float32), generator(0, "x"))[0, 0]
    values = np.stack([Drawn(20, (8, 8)).pixels(i) for i in range(20)]).reshape(-1, 3) / 255
    eigenvalues, vectors = np.linalg.eigh(np.cov(values.T, bias=True))
    magnitudes = eigenvalues if of == "eigenvalue" else np.sqrt(eigenvalues)
    alphas = generator(0, "x").normal(0, 0.1, 3)[::-1]  # eigh's order is the other way
    signs = np.sign(np.diag(statistics.eigenvectors[:, ::-1].T @ vectors))
    np.testing.assert_allclose(shown, vectors @ (signs * alphas * magnitudes), rtol=1e-5)


def test_means_are_subtracted_where_pixels_stood_before_the_crop() -> None:
    data = Drawn(5, (12, 12))
    mean_recipe = recipe([Subtract(what="mean", over="image")], [Crop(size=(8, 8)), Flip()])
    statistics = measured(data, mean_recipe, SHAPE)
    prepare, augment = for_training(mean_recipe, SHAPE, statistics)
    centred = data.pixels(1) - np.mean([data.pixels(i) for i in range(5)], axis=0)
    for use in range(20):
        shown = augment(prepare(data.pixels(1)), generator(2, "augment", use))
        drawn = generator(2, "augment", use)
        top, left = place((12, 12), (8, 8), drawn)
        part = centred[top : top + 8, left : left + 8]
        part = part[:, ::-1] if drawn.random() < 0.5 else part
        np.testing.assert_allclose(shown, part, rtol=0, atol=1e-4)


def test_vggs_jitter_is_of_the_original_image() -> None:
    data = Drawn(4, (90, 120))
    vgg_recipe = recipe(
        [Resize(size=(8, 8)), Subtract(what="mean", over="channel")],
        [Rescale(low=16, high=40), Crop(size=(8, 8)), Flip()],
    )
    statistics = measured(data, vgg_recipe, SHAPE)
    prepare, augment = for_training(vgg_recipe, SHAPE, statistics)
    assert prepare is as_it_comes
    lengths = set()
    for use in range(200):
        shown = augment(prepare(data.pixels(1)), generator(2, "augment", use))
        drawn = generator(2, "augment", use)
        length = int(drawn.integers(16, 40, endpoint=True))
        lengths.add(length)
        whole = resized(data.pixels(1), length, round(120 * length / 90))
        top, left = place(whole.shape[:2], (8, 8), drawn)
        part = whole[top : top + 8, left : left + 8] - statistics.mean_channel
        part = part[:, ::-1] if drawn.random() < 0.5 else part
        np.testing.assert_allclose(shown, part, rtol=0, atol=1.001)  # one of 255 where it tips
    assert lengths == set(range(16, 41))


def test_mistakes_are_named(statistics: Statistics) -> None:
    rescale, crop = Rescale(low=16, high=40), Crop(size=(8, 8))
    with pytest.raises(DataError, match="needs the statistics"):
        Augment([PrincipalComponents(deviation=0.1, of="deviation")], SHAPE, RAW, None)
    for steps in ([rescale], [crop, rescale], [Flip(), rescale, crop]):
        with pytest.raises(DataError, match="`rescale` must be the first step"):
            Augment(steps, SHAPE, RAW, None)
    image = Subtract(what="mean", over="image")
    with pytest.raises(DataError, match="write `subtract mean channel`"):
        for_training(recipe([image], [rescale, crop]), SHAPE, statistics)
    with pytest.raises(DataError, match="7x9, smaller than the 8x8 pixels of the crop"):
        Augment([crop], SHAPE, RAW, None)(numbered(7, 9), generator(0, "x"))


def test_alexnets_augmentation_gives_its_input() -> None:
    alexnet_recipe = load("alexnet").recipe
    assert alexnet_recipe is not None
    shape = Shape((224, 224, 3))
    data = Drawn(2, (256, 256))
    prepare, augment = for_training(alexnet_recipe, shape, measured(data, alexnet_recipe, shape))
    shown = augment(prepare(data.pixels(0)), generator(0, "augment", 0, 0))
    assert shown.shape == shape
    assert shown.dtype == np.float32
    assert shown.flags.c_contiguous
