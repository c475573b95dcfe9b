"""A grey square over an image: places, values, and a net that looks at one corner."""

from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.errors import DataError
from netspec.see.images import GREY
from tests.see.nets import corner_net, white

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"


FLOAT32 = 16 * 2**-24
"""The nets are float64, but images are prepared in float32: the relative error of a grey pixel is
up to 2^-24, and its score is a sum of at most 8 pixels."""


def probability(hidden: int) -> float:
    """The probability of bright if so many of the 8 pixels of the corner are grey."""
    score = 8 - hidden + hidden * GREY / 255 - 6
    return 1 / (1 + exp(-score))


def test_a_net_that_looks_at_a_corner_lights_up_that_corner_only() -> None:
    seen = netspec.see.occlusion(corner_net(), white(), size=3, stride=1)
    assert seen.tops.tolist() == seen.lefts.tolist() == list(range(14))
    for top in range(14):
        for left in range(14):
            hidden = max(0, min(3, 4 - top)) * max(0, min(3, 2 - left))
            assert seen.scores[top, left] == pytest.approx(probability(hidden), rel=FLOAT32)
    assert seen.score == pytest.approx(probability(0), rel=FLOAT32)
    assert (seen.answers == 0).sum() == (seen.scores > 0.5).sum()
    assert seen.names == {"0": "bright", "1": "dark"}


def test_the_activity_is_that_of_the_strongest_map() -> None:
    seen = netspec.see.occlusion(corner_net(), white(), size=4, stride=4)
    assert (seen.row, seen.map_number, seen.activity) == ("C1", 0, 256)
    grey = 256 - 16 * (1 - GREY / 255)
    assert seen.activities == pytest.approx(np.full((4, 4), grey), rel=FLOAT32)


def test_the_square_has_the_size_of_the_paper_in_proportion_and_hides_every_pixel() -> None:
    seen = netspec.see.occlusion("lenet5", DIGIT, weights="digits", batch=200)
    assert seen.size == round(50 / 224 * 32)
    assert (seen.tops[0], seen.tops[-1]) == (0, 32 - seen.size)
    assert np.diff(seen.tops).max() <= max(1, round(10 / 224 * 32))
    coarse = netspec.see.occlusion(corner_net(), white(), size=5, stride=4)
    assert coarse.tops.tolist() == [0, 4, 7, 11]


def test_the_result_does_not_depend_on_the_batch() -> None:
    whole, single = (
        netspec.see.occlusion(corner_net(), white(), size=4, stride=3, batch=batch)
        for batch in (100, 1)
    )
    assert whole.scores == pytest.approx(single.scores, rel=1e-12)
    assert whole.activities == pytest.approx(single.activities, rel=1e-12)
    assert (whole.answers == single.answers).all()


def test_captum_agrees_where_squares_do_not_overlap() -> None:
    attr = pytest.importorskip("captum.attr")
    model = corner_net().as_reference()
    image = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    drops = attr.Occlusion(model).attribute(
        image, (1, 4, 4), strides=(1, 4, 4), baselines=GREY / 255, target=0
    )
    seen = netspec.see.occlusion(corner_net(), white(), size=4, stride=4)
    assert seen.score - seen.scores == pytest.approx(drops[0, 0, ::4, ::4].numpy(), abs=FLOAT32)


def test_the_caption_says_how_the_right_class_is_known(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "dark" / "a.png"
    path.parent.mkdir()
    Image.fromarray(white()).save(path)
    options = {"size": 8, "stride": 8}
    unknown = netspec.see.occlusion(corner_net(), white(), **options)
    assert unknown.label_origin == "most probable"
    assert "bright, the most probable class, because the right one is not known" in unknown.caption
    by_folder = netspec.see.occlusion(corner_net(), path, **options)
    assert (by_folder.label, by_folder.label_origin) == (1, "folder")
    assert "dark, the right class by its folder" in by_folder.caption
    given = netspec.see.occlusion(corner_net(), path, label="bright", **options)
    assert (given.label, given.label_origin) == (0, "given")


def test_a_net_without_maps_has_no_activity() -> None:
    net = netspec.loads("net a\ninput image 8x8x1\nF1: fc 3 | softmax\n")
    seen = netspec.see.occlusion(net, white())
    assert (seen.row, seen.map_number, seen.activities.size) == ("", -1, 0)
    assert len(seen.figure().axes) == 6


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match=r"does not have a class 'brihgt'; did you mean `bright`"):
        netspec.see.occlusion(corner_net(), white(), label="brihgt")
    with pytest.raises(DataError, match="does not have a class '2': give a name, or a number from"):
        netspec.see.occlusion(corner_net(), white(), label=2)
    with pytest.raises(ValueError, match="size must be an integer from 1 to 16"):
        netspec.see.occlusion(corner_net(), white(), size=17)
    with pytest.raises(DataError, match=r"row F2 of corner does not have maps.*maps: C1"):
        netspec.see.occlusion(corner_net(), white(), row="F2")
    with pytest.raises(DataError, match=r"does not have a row `C11`; did you mean `C1`"):
        netspec.see.occlusion(corner_net(), white(), row="C11")
