from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from netspec import DataError, load, load_image, loads
from netspec.data.dataset import Pixels
from netspec.data.images import Values
from netspec.data.preprocessing import Prepare, for_testing, resolved, view_of
from netspec.ir.recipe import Center, CenterCrop, Range, Resize, Shorter, Subtract, TenCrop
from netspec.ir.shapes import Shape
from netspec.training.statistics import measured
from tests.training.example_data import Drawn, recipe

RGB = Shape((8, 8, 3))
MEAN_IMAGE = Subtract(what="mean", over="image")
MEAN_CHANNEL = Subtract(what="mean", over="channel")


def test_alexnets_prepare_by_hand(photograph: Path) -> None:
    alexnet_recipe = load("alexnet").recipe
    assert alexnet_recipe is not None
    with Image.open(photograph) as opened:  # 427 x 640
        image = opened.convert("RGB")
        small = image.resize((384, 256), Image.Resampling.BICUBIC)
    data = Drawn(3, (256, 256))
    statistics = measured(data, alexnet_recipe, Shape((224, 224, 3)))
    prepare = Prepare(alexnet_recipe.prepare, Shape((224, 224, 3)), statistics)
    mean = np.mean([data.pixels(i) for i in range(3)], axis=0)
    by_hand = np.asarray(small)[:, 64:320] - mean
    prepared = prepare(np.asarray(image))
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, by_hand, rtol=0, atol=255 * 2**-23)  # float32


def test_without_range_values_are_raw() -> None:
    pixels = Drawn(1, (8, 8)).pixels(0)
    assert np.array_equal(Prepare([], RGB, None)(pixels), pixels)


def test_range_is_lenets() -> None:
    pixels = np.array([0, 255, 51], np.uint8).reshape(1, 3, 1)
    shown = Prepare([Range(low=-0.1, high=1.175)], Shape((1, 3, 1)), None)(pixels)
    assert shown.ravel() == pytest.approx([-0.1, 1.175, -0.1 + 0.2 * 1.275])


@pytest.mark.parametrize("over", ["image", "channel"])
@pytest.mark.parametrize("what", ["mean", "median"])
def test_what_is_subtracted_is_of_what_arrives(what: str, over: str) -> None:
    data = Drawn(6, (8, 8))
    subtract, by = Subtract(what=what, over=over), Range(low=-1, high=1)
    statistics = measured(data, recipe([subtract]), RGB)
    values = np.stack([data.pixels(i) for i in range(6)]) / 255 * 2 - 1
    axes = 0 if over == "image" else (0, 1, 2)
    center = getattr(np, what)(values, axis=axes)
    before = Prepare([by, subtract], RGB, statistics)(data.pixels(2))
    np.testing.assert_allclose(before, values[2] - center, rtol=0, atol=1e-6)
    behind = Prepare([subtract, by], RGB, statistics)(data.pixels(2))
    np.testing.assert_allclose(behind, values[2] - center - 1, rtol=0, atol=1e-6)


def test_grey_and_colour_come_as_the_net_takes_them() -> None:
    grey, colour = Drawn(1, (9, 9), channels=1).pixels(0), Drawn(1, (9, 9)).pixels(0)
    assert Prepare([Resize(size=(8, 8))], RGB, None)(grey).shape == (8, 8, 3)
    assert Prepare([Resize(size=(8, 8))], Shape((8, 8, 1)), None)(colour).shape == (8, 8, 1)


def test_images_keep_their_own_size_where_only_the_shorter_side_is_said() -> None:
    prepare = Prepare([Shorter(size=10)], RGB, None)
    assert prepare(Drawn(1, (20, 31)).pixels(0)).shape == (10, 16, 3)
    assert prepare(Drawn(1, (7, 7)).pixels(0)).shape == (10, 10, 3)


def test_mistakes_are_named() -> None:
    statistics = measured(Drawn(3, (8, 8)), recipe(), RGB)
    with pytest.raises(DataError, match=r"`center` .* is after `subtract`, .*: put"):
        Prepare([MEAN_CHANNEL, Center(size=(8, 8))], RGB, statistics)
    with pytest.raises(DataError, match="subtracts a mean or median twice"):
        Prepare([MEAN_CHANNEL, MEAN_IMAGE], RGB, statistics)
    with pytest.raises(DataError, match="needs the statistics"):
        Prepare([MEAN_CHANNEL], RGB, None)
    with pytest.raises(DataError, match="median image"):
        Prepare([Subtract(what="median", over="image")], RGB, statistics)
    with pytest.raises(DataError, match="1 or 3 channels"):
        Prepare([], Shape((8, 8, 2)), None)
    with pytest.raises(DataError, match=r"8x9x3.*mean image is 8x8x3"):
        Prepare([MEAN_IMAGE], RGB, statistics)(Drawn(1, (8, 9)).pixels(0))
    with pytest.raises(DataError, match="7x9, smaller than the 8x8 pixels of the crop"):
        Prepare([Center(size=(8, 8))], RGB, None)(Drawn(1, (7, 9)).pixels(0))


def test_one_view_or_ten_as_the_recipe_says() -> None:
    pixels = Drawn(1, (10, 12)).pixels(0)
    one, ten = recipe(), recipe()
    one.evaluate, ten.evaluate = [CenterCrop()], [TenCrop()]
    views = {count: for_testing(r, RGB, None) for count, r in ((1, one), (10, ten))}
    for count, view in views.items():
        assert view.count == count
        assert view(pixels).shape == (count, 8, 8, 3)
        assert np.array_equal(view(pixels)[4 % count], pixels[1:9, 2:10])


@pytest.mark.parametrize("channels", [1, 3])
def test_without_a_recipe_images_come_as_run_shows_them(photograph: Path, channels: int) -> None:
    shape = Shape((20, 30, channels))
    with Image.open(photograph) as image:
        pixels = np.asarray(image.convert("RGB"))
    shown = for_testing(None, shape, None)(pixels)
    expected = load_image(photograph, shape).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(shown, expected)


# ------------------------------------------------------------------- as published weights expect


def prepared(text: str, pixels: Pixels) -> Values:
    """Return an image as `prepare` in a spec gives it to a net of its size."""
    height, width, channels = pixels.shape
    net = loads(f"net a\ninput image {height}x{width}x{channels}\nprepare {text}\na: fc 2")
    return view_of(net.expects, net.input_shape)(pixels)[0]


def test_torchvisions_numbers() -> None:
    pixels = Drawn(1, (6, 7)).pixels(0)
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    text = "range low=0, high=1 | subtract 0.485 0.456 0.406 | divide 0.229 0.224 0.225"
    expected = (pixels / 255 - mean) / deviation
    np.testing.assert_allclose(prepared(text, pixels), expected, rtol=0, atol=1e-6)
    text = "subtract 123.675 116.28 103.53 | divide 58.395 57.12 57.375"
    np.testing.assert_allclose(prepared(text, pixels), expected, rtol=0, atol=1e-6)


def test_caffes_numbers_are_in_the_order_that_stands_before_them() -> None:
    pixels = Drawn(1, (6, 7)).pixels(0)
    expected = pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])
    after = prepared("order bgr | subtract 103.939 116.779 123.68", pixels)
    np.testing.assert_allclose(after, expected, rtol=0, atol=2e-5)  # float32 of 255
    assert after.flags.c_contiguous
    before = prepared("subtract 123.68 116.779 103.939 | order bgr", pixels)
    assert np.array_equal(before, after)
    assert np.array_equal(prepared("order bgr | order rgb", pixels), pixels)


def test_invert_exchanges_black_and_white() -> None:
    pixels = np.array([0, 255, 51], np.uint8).reshape(1, 3, 1)
    assert prepared("invert", pixels).ravel() == pytest.approx([255, 0, 204])
    assert prepared("range low=0, high=1 | invert", pixels).ravel() == pytest.approx([1, 0, 0.8])
    assert prepared("invert | range low=-1, high=1", pixels).ravel() == pytest.approx([1, -1, 0.6])


def test_sizes_are_rounded_as_torchvision_rounds_them(photograph: Path) -> None:
    pixels = np.asarray(Image.open(photograph).convert("RGB"))  # 427 x 640
    net = loads(
        "net a\ninput image 224x224x3\n"
        "prepare shorter 256 with bilinear, round=floor | center 224, round=even\na: fc 2"
    )
    view = view_of(net.expects, net.input_shape)
    small = Image.fromarray(pixels).resize((383, 256), Image.Resampling.BILINEAR)
    # torchvision: top = round((256 - 224) / 2), left = round((383 - 224) / 2), half to even
    assert np.array_equal(view(pixels)[0], np.asarray(small)[16:240, 80:304])
    ours = loads("net a\ninput image 224x224x3\nprepare shorter 256\na: fc 2")
    whole = Image.fromarray(pixels).resize((384, 256), Image.Resampling.BICUBIC)
    centre = view_of(ours.expects, ours.input_shape)(pixels)[0]
    assert np.array_equal(centre, np.asarray(whole)[16:240, 80:304])


@pytest.mark.parametrize(
    "before", ["", "range low=-0.1, high=1.175 | ", "order bgr | ", "divide 7 | "]
)
@pytest.mark.parametrize("after", ["", " | order bgr", " | divide 3"])
@pytest.mark.parametrize("over", ["channel", "image"])
@pytest.mark.parametrize("what", ["mean", "median"])
def test_numbers_take_the_place_of_statistics(
    before: str, what: str, over: str, after: str
) -> None:
    data, text = Drawn(5, (8, 8)), f"{before}subtract {what} {over}{after}"
    net = loads(f"net a\ninput image 8x8x3\nprepare {text}\na: fc 2")
    assert len(net.expects.missing) == 1
    statistics = measured(data, recipe([Subtract(what=what, over=over)]), RGB)
    travelling = resolved(net.expects, statistics)
    assert not travelling.missing
    with pytest.raises(DataError, match="needs the statistics"):
        view_of(net.expects, RGB)
    ours = view_of(travelling, RGB)(data.pixels(3))
    # the numbers are the same in float64, up to rounding
    expected = view_of(net.expects, RGB, statistics)(data.pixels(3))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=255 * 2**-24)


class Constant:
    """Statistics whose means are all one array."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values

    def of(self, kind: str, over: str) -> NDArray[np.float64]:
        return self.values
