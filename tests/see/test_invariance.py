"""Shifted, scaled and rotated images, and the distances of their features."""

from __future__ import annotations

import numpy as np
import pytest

import netspec
from netspec.errors import DataError
from netspec.see.invariance import KINDS, UNCHANGED, transformed
from tests.see.nets import corner_net, white

PATTERN = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)


def test_a_shift_moves_pixels_down_and_repeats_the_border() -> None:
    shifted = transformed(PATTERN, "shift", 2)
    assert (shifted[2:] == PATTERN[:-2]).all()
    assert (shifted[:2] == PATTERN[0]).all()
    raised = transformed(PATTERN, "shift", -3)
    assert (raised[:-3] == PATTERN[3:]).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_rotation_is_counter_clockwise(turns: int) -> None:
    assert (transformed(PATTERN, "rotation", 90 * turns) == np.rot90(PATTERN, turns)).all()


def test_a_scale_enlarges_the_centre() -> None:
    enlarged = transformed(PATTERN, "scale", 2)
    assert (enlarged[::2, ::2] == PATTERN[2:7, 2:7]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_unchanged_image_has_distance_0(kind: str) -> None:
    seen = netspec.see.invariance(corner_net(), white())
    unchanged = int(np.flatnonzero(seen.amounts[kind] == UNCHANGED[kind])[0])
    assert seen.distances[kind].shape == (1, 2, len(seen.amounts[kind]))
    assert seen.distances[kind][0, :, unchanged].tolist() == [0, 0]


def test_distances_are_euclidean_and_scores_are_of_the_right_class() -> None:
    image = np.zeros((16, 16), np.uint8)
    image[:8] = 255  # bright in the corner
    seen = netspec.see.invariance(corner_net(), image, rows=("C1", "F2"))
    # shifted up by 4 rows, of which there are 2 at most here: 60/224 of 16 rows is 4
    assert seen.amounts["shift"].tolist() == list(range(-4, 5))
    rows_changed = np.abs(seen.amounts["shift"])
    # map 0 changes by 1 and map 1 by 1/2 in each pixel of these rows
    expected = np.sqrt(16 * rows_changed * (1 + 0.25))
    assert seen.distances["shift"][0, 0] == pytest.approx(expected, rel=1e-12)
    assert seen.scores["shift"][0] == pytest.approx(np.full(9, 1 / (1 + np.exp(-2))), rel=1e-12)
    assert seen.scores["rotation"][0, 18] < 0.5  # by 180 degrees the corner is dark
    assert seen.label_names == ("bright",)


def test_the_first_row_and_the_last_before_the_output_are_compared() -> None:
    seen = netspec.see.invariance("lenet5", np.zeros((28, 28), np.uint8), weights="digits")
    assert seen.rows == ("C1", "F6")


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="rows must be two rows, such as C1 and F7"):
        netspec.see.invariance(corner_net(), white(), rows=["C1"])
    with pytest.raises(DataError, match="does not have a row `C3`"):
        netspec.see.invariance(corner_net(), white(), rows=["C1", "C3"])
    single = netspec.loads("net a\ninput image 8x8x1\nF1: fc 3 | softmax\n")
    with pytest.raises(DataError, match="a has one row only"):
        netspec.see.invariance(single, white())
