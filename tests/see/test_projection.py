"""The picture of projections: rows, maps, the parts of the image and its colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.errors import DataError
from netspec.see.deconvnet import deconvnet
from netspec.see.fields import Box, crop_of
from netspec.see.figures import FRAME
from netspec.see.images import Preparation
from netspec.see.projection import as_image, framed, tile
from netspec.see.subject import open_seen

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"


def test_each_row_is_projected_from_its_strongest_activation() -> None:
    shown = netspec.see.projection("lenet5", DIGIT, weights="digits", row=["C1", "C3", "F6"])
    seen = open_seen("lenet5", weights="digits")
    batch = seen.batch([shown.pixels])
    for n, row in enumerate(("C1", "C3", "F6")):
        projected = deconvnet(seen.model, batch, row)
        assert shown.maps[n] == projected.maps[0]
        assert shown.positions[n].tolist() == projected.positions[0].tolist()
        assert shown.activations[n] == float(projected.activations[0])
        assert shown.sizes[n].tolist() == [[28, 28], [10, 10], [1, 1]][n]
        box = crop_of(seen.net.graph, row, tuple(shown.positions[n].tolist()))
        assert tuple(shown.crops[n]) == box
        expected = seen.preparation.differences(projected.pixels[0])
        assert (shown.signals[n] == expected).all()
    lines = shown.lines()
    assert " at row " in lines[0]
    assert lines[2].startswith(f"F6: unit {shown.maps[2]}, activation ")
    assert lines[2].endswith("of rows 0 to 31 and columns 0 to 31 of the image")


def test_a_map_is_chosen() -> None:
    shown = netspec.see.projection("lenet5", DIGIT, weights="digits", row="C3", map=7)
    assert shown.rows == ("C3",)
    assert shown.maps.tolist() == [7]
    assert "The strongest activation of map 7 of C3 for digit.png" in shown.caption
    assert set(shown.as_json()) == {
        *("caption", "image", "rows", "maps", "positions", "sizes", "activations", "crops"),
    }


@pytest.mark.parametrize(
    ("net", "rows"),
    [
        ("lenet5", ("C1", "C3", "C5")),
        ("squeezenet1_1", ("conv1", "fire3", "fire5", "fire8", "conv10")),
    ],
)
def test_rows_with_a_convolution_are_the_default(net: str, rows: tuple[str, ...]) -> None:
    shown = netspec.see.projection(net, DIGIT)
    assert shown.rows == rows
    assert "random weights, not trained" in shown.caption


def test_a_silent_row_says_so(tmp_path: Path) -> None:
    model = netspec.compile(netspec.loads("net s\ninput image 8x8x1\nC1: conv 3x3, 2 | relu\n"))
    state = {name: -torch.ones_like(tensor) for name, tensor in model.state_dict().items()}
    model.load_state_dict(state)
    shown = netspec.see.projection(model, np.full((8, 8), 99, np.uint8))
    assert shown.lines()[0].endswith("; a signal of 0 is projected to nothing")
    assert not shown.signals.any()
    shown.save(tmp_path / "a.png")


def test_the_picture_has_the_part_above_its_projection() -> None:
    shown = netspec.see.projection("lenet5", DIGIT, weights="digits", row=["C1", "C3"])
    image, first, second, _, *below = shown.figure().axes
    assert [axes.get_title() for axes in (image, first, second)] == [
        "image",
        f"C1, map {shown.maps[0]}",
        f"C3, map {shown.maps[1]}",
    ]
    box = Box(*shown.crops[1].tolist())
    drawn = np.asarray(second.images[0].get_array())
    assert np.allclose(drawn[..., 0], shown.pixels[box.of_pixels][..., 0] / 255)
    drawn = np.asarray(below[1].images[0].get_array())
    assert np.allclose(drawn[..., :1], as_image(shown.signals[1])[box.of_pixels])


# ----------------------------------------------------------------------------------- the colours


def test_no_difference_is_mid_grey_and_signs_are_kept() -> None:
    signal = np.zeros((10, 10, 3), np.float32)
    signal[2, 3], signal[4, 4, 1] = (4, -2, 0), -4
    image = as_image(signal, clipped=100)
    assert image[0, 0].tolist() == [0.5] * 3
    assert image[2, 3].tolist() == [1, 0.25, 0.5]
    assert image[4, 4].tolist() == [0.5, 0, 0.5]
    assert (as_image(0 * signal) == 0.5).all()


def test_a_few_large_differences_do_not_hide_the_others() -> None:
    signal = np.ones((100, 100, 1), np.float32)
    signal[0, 0] = 1e6
    assert as_image(signal)[5, 5] == pytest.approx(1)


def test_a_part_at_a_border_is_on_the_right_side_of_its_tile() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    upper_left = tile(image, Box(0, 0, 2, 3), 4, 4)
    assert np.isnan(upper_left[:2]).all()
    assert np.isnan(upper_left[:, 0]).all()
    assert np.allclose(upper_left[2:, 1:, 0] * 255, [[0, 1, 2], [4, 5, 6]])
    lower_right = tile(image, Box(2, 1, 4, 4), 4, 4)
    assert np.allclose(lower_right[:2, :3, 0] * 255, [[9, 10, 11], [13, 14, 15]])
    assert np.isnan(lower_right[2:]).all()
    colours = framed(upper_left)
    assert colours.shape == (4, 4, 3)
    assert np.allclose(colours[0, 0], FRAME)
    assert np.allclose(colours[3, 3] * 255, 6)


@pytest.mark.parametrize(
    ("prepare", "values", "pixels"),
    [
        ("range low=0, high=1", (1, 2, 3), (255, 510, 765)),
        ("range low=0, high=1 | invert", (1, 2, 3), (-255, -510, -765)),
        ("order bgr | subtract 1 2 3", (1, 2, 3), (3, 2, 1)),
        ("divide 2 4 8", (1, 2, 3), (2, 8, 24)),
        ("divide 2 4 8 | order bgr", (1, 2, 3), (6, 8, 8)),
    ],
)
def test_differences_are_those_of_pixels(
    prepare: str, values: tuple[float, ...], pixels: tuple[float, ...]
) -> None:
    net = netspec.loads(f"net p\ninput image 2x2x3\nC1: conv 1x1, 2\nprepare {prepare}\n")
    preparation = Preparation(net.expects, net.input_shape)
    given = torch.tensor(values, dtype=torch.float64)[:, None, None].expand(3, 2, 2)
    differences = preparation.differences(given)
    assert differences.shape == (2, 2, 3)
    assert differences[1, 1].tolist() == pytest.approx(pixels)
    # the input of the net changes by these values if pixels change by these differences
    before = np.full((2, 2, 3), 10, np.uint8)
    shift = preparation.batch([before, before + np.uint8(1)]).double()
    slope = (shift[1] - shift[0])[:, 0, 0].tolist()
    order = slice(None, None, -1) if "bgr" in prepare else slice(None)
    assert np.allclose(np.array(slope)[order] * pixels, np.array(values)[order], rtol=1e-4)


def test_bad_arguments() -> None:
    with pytest.raises(DataError, match="does not have a row `C33`; did you mean `C3`"):
        netspec.see.projection("lenet5", DIGIT, row="C33")
    with pytest.raises(DataError, match="C3 of lenet5 does not have a map 16: its maps are 0 to"):
        netspec.see.projection("lenet5", DIGIT, row="C3", map=16)
    with pytest.raises(ValueError, match="map is the number of a map of one row: give the row"):
        netspec.see.projection("lenet5", DIGIT, map=1)
    with pytest.raises(ValueError, match="row must be one row or several"):
        netspec.see.projection("lenet5", DIGIT, row=[])
    with pytest.raises(DataError, match=r"out\.rbf of lenet5_rbf cannot be projected.* is `rbf`"):
        netspec.see.projection("lenet5_rbf", DIGIT, row="out")
    with pytest.raises(DataError, match="a does not have a convolution: name the row to project"):
        netspec.see.projection(netspec.loads("net a\ninput image 8x8x1\nF: fc 2\n"), DIGIT)
    with pytest.raises(DataError, match=r"test_projection\.py"):
        netspec.see.projection("lenet5", __file__)
