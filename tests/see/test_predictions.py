"""Images with their most probable classes: as classify says, and which one is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

import netspec
from netspec.see.figures import PALE, PALE_RIGHT
from tests.see.nets import corner_net, white

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"


def test_answers_are_those_of_classify() -> None:
    seen = netspec.see.predictions("lenet5", [DIGIT, DIGIT], weights="digits", top=3)
    (expected,) = netspec.classify("lenet5", DIGIT, weights="digits", top=3)
    assert seen.answers.tolist() == [[answer.number for answer in expected.answers]] * 2
    assert seen.scores[1].tolist() == [answer.score for answer in expected.answers]
    assert seen.names[0][0] == "7"
    assert seen.is_probability
    assert str(seen).count("digit.png: 7 (99.9 %)") == 2


def test_the_right_class_is_in_another_colour(tmp_path: Path) -> None:
    path = tmp_path / "dark" / "a.png"
    path.parent.mkdir()
    Image.fromarray(white()).save(path)
    seen = netspec.see.predictions(corner_net(), [path, white()])
    assert seen.labels.tolist() == [1, -1]
    assert seen.label_names == ("dark", "")
    assert "a.png: bright (88.1 %), wrong: it is dark" in str(seen)
    charts = [axes for axes in seen.figure().axes if axes.patches]
    colours = [[bar.get_facecolor() for bar in axes.patches] for axes in charts]
    assert colours == [[to_rgba(PALE), to_rgba(PALE_RIGHT)], [to_rgba(PALE)] * 2]
    assert [bar.get_width() for bar in charts[0].patches] == pytest.approx(seen.scores[0])
    given = netspec.see.predictions(corner_net(), [path, white()], label=0)
    assert given.labels.tolist() == [0, 0]
    assert "(88.1 %), right" in str(given)


def test_images_are_shown_as_the_net_sees_them() -> None:
    pixels = np.arange(32 * 16 * 3, dtype=np.uint8).reshape(32, 16, 3)
    seen = netspec.see.predictions(corner_net(), pixels, prepare="center 16 | range low=0, high=1")
    grey = np.asarray(Image.fromarray(pixels[8:24]).convert("L"))
    assert seen.pixels[0].tolist() == grey[..., None].tolist()


def test_a_net_whose_least_output_is_best_says_so() -> None:
    seen = netspec.see.predictions("lenet5_rbf", DIGIT)
    assert not seen.is_probability
    assert "whose outputs are the least" in seen.caption
    assert seen.scores[0].tolist() == sorted(seen.scores[0])


def test_no_image_is_an_error() -> None:
    with pytest.raises(ValueError, match="images must be one image or several"):
        netspec.see.predictions(corner_net(), [])
