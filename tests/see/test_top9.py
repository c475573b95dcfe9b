"""The images that excite maps most, cut to their receptive fields, and the projections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.data import open_data
from netspec.errors import DataError
from netspec.see.deconvnet import deconvnet
from netspec.see.fields import Box
from netspec.see.projection import as_image
from netspec.see.subject import open_seen
from netspec.see.top9 import mosaic

LOOKING = netspec.loads("""net looking
input image 8x8x1
C1: conv 3x3, 3, pad=1, bias=off
F2: fc 10
prepare range low=0, high=255
""")


def looking_net() -> netspec.Compiled:
    """A net with maps that are the image, its sum over 3x3 pixels, and its negative."""
    model = netspec.compile(LOOKING)
    state = model.state_dict()
    kernels = torch.zeros(3, 1, 3, 3)
    kernels[0, 0, 1, 1], kernels[1], kernels[2, 0, 1, 1] = 1, 1, -1
    model.load_state_dict({**state, "C1.weight": kernels})
    return model


def test_the_images_positions_and_parts_are_those_of_the_largest_activations() -> None:
    seen = netspec.see.top9(looking_net(), data="digits:8")
    train = open_data("digits:8").train
    pixels = np.stack([train.example(number).pixels for number in range(len(train))])
    flat = pixels[..., 0].reshape(len(pixels), -1).astype(int)
    assert seen.maps.tolist() == [0, 1, 2]
    assert "(blue is outside the image)" in seen.caption
    for n, values in ((0, flat), (2, -flat)):
        order = np.argsort(-values.max(1), kind="stable")[:9]
        assert seen.examples[n].tolist() == order.tolist()
        assert seen.activations[n].tolist() == values.max(1)[order].tolist()
        places = values[order].argmax(1)
        assert (seen.positions[n] == np.stack([places // 8, places % 8], 1)).all()
    names = [[train.classes[train.example(int(m)).label] for m in of] for of in seen.examples]
    assert [list(of_map) for of_map in seen.labels] == names
    for n in range(3):
        for k in range(9):
            down, across = seen.positions[n, k]
            box = Box(max(down - 1, 0), max(across - 1, 0), min(down + 2, 8), min(across + 2, 8))
            assert tuple(seen.crops[n, k]) == box
            patch = seen.patches[n, k, ..., 0]
            assert patch.shape == (3, 3)
            whole = np.pad(pixels[seen.examples[n, k], ..., 0] / 255, 1, constant_values=np.nan)
            expected = whole[down : down + 3, across : across + 3].astype(np.float32)
            assert np.array_equal(patch, expected, equal_nan=True)


def test_the_projections_are_those_of_the_deconvnet(run: Path) -> None:
    shown = netspec.see.top9(run, row="C1", maps=[2, 0])
    assert shown.maps.tolist() == [2, 0]
    seen, train = open_seen(run), open_data("digits:8").train
    for n, number in enumerate(shown.maps.tolist()):
        for k in (0, 8):
            example = train.example(int(shown.examples[n, k])).pixels
            projected = deconvnet(seen.model, seen.batch([example]), "C1", number)
            assert projected.positions.tolist() == [shown.positions[n, k].tolist()]
            assert float(projected.activations) == pytest.approx(shown.activations[n, k], rel=1e-6)
            box = Box(*shown.crops[n, k].tolist())
            signal = as_image(seen.preparation.differences(projected.pixels[0]))[box.of_pixels]
            tiled = shown.projections[n, k]
            inside = tiled[~np.isnan(tiled)].reshape(signal.shape)
            np.testing.assert_allclose(inside, signal, rtol=1e-4, atol=1e-4)


def test_batches_workers_and_the_state_do_not_change_the_picture(run: Path, tmp_path: Path) -> None:
    plain = netspec.see.top9(run).as_json()
    assert netspec.see.top9(run, batch=7, workers=1).as_json() == plain
    state = tmp_path / "a.pass"
    assert netspec.see.top9(run, state=state).as_json() == plain
    assert netspec.see.top9(run, state=state).as_json() == plain


def test_the_maps_with_the_largest_activations_are_shown(run: Path) -> None:
    everything = netspec.see.top9(run, row="C1", maps=range(4))
    two = netspec.see.top9(run, row="C1", count=2)
    largest = np.sort(np.argsort(-everything.activations[:, 0], kind="stable")[:2])
    assert two.maps.tolist() == largest.tolist()
    assert (two.activations == everything.activations[largest]).all()


def test_units_and_the_validation_split(run: Path) -> None:
    seen = netspec.see.top9(run, row="F2", split="validation", count=3)
    assert seen.data == "digits, 360 for validation"
    assert seen.patches.shape == (3, 9, 8, 8, 1)
    assert not np.isnan(seen.patches).any()
    assert str(seen).splitlines()[3].startswith(f"unit {seen.maps[0]}: activations ")
    assert "blue" not in seen.caption


def test_the_picture_has_one_panel_per_map(run: Path, tmp_path: Path) -> None:
    seen = netspec.see.top9(run, row="C1")
    panels = [axes for axes in seen.figure().axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [f"map {number}" for number in range(4)]
    assert "blue" not in seen.caption
    seen.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 10_000


@pytest.mark.parametrize("count", [1, 2, 9])
def test_projections_are_left_and_patches_right(count: int) -> None:
    patches = np.ones((count, 10, 20, 3), np.float32)
    whole = mosaic(0 * patches, patches)
    columns, rows = min(3, count), -(-count // 3)
    assert (whole == 0).sum() == count * 10 * 20 * 3
    assert not whole[:, : columns * 20].all()
    assert whole[:, -columns * 20 - 2 * (columns - 1) :].all()
    assert whole.shape == (rows * 12 - 2, 2 * (columns * 22) - 2 + 2, 3)


def test_bad_arguments(run: Path) -> None:
    with pytest.raises(DataError, match="does not have a map 4: its maps are 0 to 3"):
        netspec.see.top9(run, row="C1", maps=[4])
    with pytest.raises(DataError, match="does not have a row `C3`"):
        netspec.see.top9(run, row="C3")
    with pytest.raises(ValueError, match="count must be an integer from 1 to 400, not 0"):
        netspec.see.top9(run, count=0)
    with pytest.raises(DataError, match=r"out\.rbf of lenet5_rbf cannot be projected.* is `rbf`"):
        netspec.see.top9("lenet5_rbf", row="out", data="digits")
    with pytest.raises(DataError, match="lenet5 does not have a data set: give one with --data"):
        netspec.see.top9("lenet5", weights="digits")
