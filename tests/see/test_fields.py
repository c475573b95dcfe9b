from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec import Net, loads
from netspec.errors import LabelError
from netspec.see.fields import Box, crop_of
from tests.examples import examples
from tests.lowering.passes.helpers import images, random_model
from tests.see.explicit import cut_after, nets


def pixels_that_matter(net: Net, row: str) -> np.ndarray:
    """Whether a change of a single pixel changes an activation, bit for bit, in any of its maps.

    [H, W, height, width] for an image H x W and maps height x width; 1 x 1 for a vector.

    Several images, and changes of both signs: one alone may hide a pixel, which is never the
    largest in a window, or which only reaches a ReLU that is 0.
    """
    height, width = net.input_shape[:2]
    shape = net.graph.stage(net.graph.find(row)).known_shape
    matter = np.zeros((height * width, *(shape[:2] if shape.is_map else (1, 1))), bool)
    for seed in (1, 2, 3):
        features = random_model(net, seed).features(row)
        (image,) = images(net, seed, batch=1)
        for numbers in torch.arange(height * width).split(256):
            # the same number of images, because the order of sums depends on it
            batch = image.repeat(len(numbers), 1, 1, 1)
            before = features(batch)
            batch[range(len(numbers)), :, numbers // width, numbers % width] += 100 * (-1) ** seed
            differs = (features(batch) != before).any(1)
            matter[numbers] |= differs.reshape(len(numbers), *matter.shape[1:]).numpy()
    return matter.reshape(height, width, *matter.shape[1:])


def bounding(matter: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(matter.any(1)), np.flatnonzero(matter.any(0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def corners(net: Net, row: str) -> list[tuple[int, int]]:
    """The corners of a row's maps and its middle."""
    shape = net.graph.stage(net.graph.find(row)).known_shape
    if not shape.is_map:
        return [(0, 0)]
    h, w = shape[0] - 1, shape[1] - 1
    return list(dict.fromkeys([(0, 0), (0, w), (h, 0), (h, w), (h // 2, w // 2)]))


NETS = [
    pytest.param("alexnet", "C2", "27x31x3", marks=pytest.mark.slow),
    ("vgg11", "S2", "14x16x3"),
    pytest.param("googlenet", "pool2", "29x33x3", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "row", "size"), NETS)
def test_exactly_the_pixels_of_the_crop_matter(name: str, row: str, size: str) -> None:
    net = cut_after(name, row, size)
    matter = pixels_that_matter(net, row)
    for position in corners(net, row):
        expected = crop_of(net.graph, row, position)
        assert bounding(matter[:, :, *position]) == expected, position


@pytest.mark.parametrize("row", ["C1", "S2", "C3", "S4"])
def test_exactly_the_pixels_of_the_crop_matter_to_lenet5(row: str) -> None:
    net = netspec.load("lenet5")
    matter = pixels_that_matter(net, row)
    for position in corners(net, row):
        expected = crop_of(net.graph, row, position)
        assert bounding(matter[:, :, *position]) == expected, position


ROWS = """C1: conv 3x3/2, 4, pad=1 | relu
U: upsample 2, by=bilinear, align_corners=off | conv 3x3, 4 | relu
D: deconv 3x3/2, 4
M: concat { identity; maxpool 5x5, pad=2, dilation=1 | lrn 3 }
A: adaptive_avgpool 5x4
S: mul { identity; gap | conv 1x1, 8 | sigmoid }
F: fc 3
"""


def test_rows_of_every_kind_of_reach() -> None:
    net = loads(f"net kinds\ninput image 11x12x2\n{ROWS}", "kinds.net")
    for row in ("C1", "U", "D", "M", "A", "S", "F"):
        matter = pixels_that_matter(net, row)
        for position in corners(net, row):
            box = crop_of(net.graph, row, position)
            outside = matter[:, :, *position].copy()
            outside[box.of_pixels] = False
            assert not outside.any(), (row, position)
            if row in ("C1", "M", "S", "F"):
                assert bounding(matter[:, :, *position]) == box, (row, position)


@examples(60)
@given(nets().filter(lambda text: "lcn" not in text), st.data())
def test_no_pixel_outside_the_crop_matters(text: str, data: st.DataObject) -> None:
    net = loads(text, "drawn.net")
    row = data.draw(st.sampled_from([row.label for row in net.rows]))
    shape = net.graph.stage(net.graph.find(row)).known_shape
    position = (data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1)))
    matter = pixels_that_matter(net, row)[:, :, *position]
    matter[crop_of(net.graph, row, position).of_pixels] = False
    assert not matter.any()


def test_the_crops_of_alexnet_have_the_size_of_its_field() -> None:
    graph = netspec.load("alexnet").graph
    assert crop_of(graph, "C1", (20, 30)) == Box(80, 120, 91, 131)
    assert crop_of(graph, "C3", (6, 6)) == Box(64, 64, 163, 163)  # a field of 99
    assert crop_of(graph, "S5", (0, 0)) == Box(0, 0, 131, 131)
    assert crop_of(graph, "S5", (5, 5)) == Box(96, 96, 224, 224)


def test_normalisations_over_positions_are_ignored() -> None:
    with_lcn = loads("net l\ninput image 12x12x2\nC1: conv 3x3, 4 | lcn 5x5, sigma=1\n", "l.net")
    assert crop_of(with_lcn.graph, "C1", (4, 5)) == Box(4, 5, 7, 8)


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(LabelError, match="C9"):
        crop_of(netspec.load("lenet5").graph, "C9")
