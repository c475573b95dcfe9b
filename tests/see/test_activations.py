"""The activations of a row: values, order of axes, and what is printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netspec
from netspec.errors import DataError
from netspec.see.figures import coloured
from tests.see.nets import corner_net, white

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"


def test_maps_are_those_of_the_row() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    seen = netspec.see.activations(corner_net(), pixels)
    assert seen.row == "C1"
    assert seen.values.shape == (2, 16, 16)
    assert seen.values[0] == pytest.approx(pixels / 255, rel=1e-6)  # float32
    assert seen.values[1] == pytest.approx(pixels / 510, rel=1e-6)
    assert seen.pixels[..., 0].tolist() == pixels.tolist()
    assert "the largest activation is 1 in map 0, at row 15 and column 15" in str(seen)
    some = netspec.see.activations(corner_net(), pixels, maps=[1])
    assert some.values.tolist() == [seen.values[1].tolist()]


def test_vectors_and_maps_of_one_pixel_are_bars() -> None:
    for row, count in (("C5", 120), ("F6", 84)):
        seen = netspec.see.activations("lenet5", DIGIT, row=row, weights="digits")
        assert seen.values.shape == (count,)
        assert len(seen.figure().axes[1].patches) == count + 1  # the largest is drawn again
    answers = netspec.see.activations("lenet5", DIGIT, row="out", weights="digits")
    assert answers.names == tuple("0123456789")
    assert answers.values.argmax() == 7


def test_each_map_has_its_own_scale_or_all_have_one() -> None:
    each = netspec.see.activations(corner_net(), white())
    common = netspec.see.activations(corner_net(), white(), contrast="common")
    corners = [seen.figure().axes[1].images[0].get_array()[3, [3, -4]] for seen in (each, common)]
    light, half = coloured(np.array([1.0, 0.5]), 1.0)
    assert np.allclose(corners[0], [light, light])
    assert np.allclose(corners[1], [light, half])


def test_the_caption_says_what_colours_mean_and_that_weights_are_random() -> None:
    assert (
        "(red is positive, blue is negative)\n" in netspec.see.activations("lenet5", DIGIT).caption
    )
    assert (
        "lenet5 with random weights, not trained"
        in netspec.see.activations("lenet5", DIGIT).caption
    )
    assert "red" not in netspec.see.activations(corner_net(), white()).caption


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="C1 of corner does not have a map 2: its maps are 0 to 1"):
        netspec.see.activations(corner_net(), white(), maps=[2])
    with pytest.raises(ValueError, match="maps must be one number or several"):
        netspec.see.activations(corner_net(), white(), maps=[])
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(DataError, match=r"a\.png"):
        netspec.see.activations(corner_net(), tmp_path / "a.png")
    with pytest.raises(TypeError, match="not an array of float64"):
        netspec.see.activations(corner_net(), np.zeros((16, 16)))  # type: ignore[arg-type]
    deep = netspec.loads("net a\ninput image 8x8x5\nF1: fc 3 | softmax\n")
    with pytest.raises(DataError, match="8x8x5, which is not an image"):
        netspec.see.activations(deep, white())
