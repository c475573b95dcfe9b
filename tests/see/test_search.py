"""Images found in an index of codes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import netspec
from netspec.data import open_data
from netspec.errors import DataError
from netspec.see.codes import Codes


@pytest.fixture(scope="module")
def made(run: Path) -> Codes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("netspec.see.codes"), "STEPS", 20)
        return netspec.see.codes(run)


@pytest.fixture(scope="module")
def index(made: Codes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "codes.safetensors"
    made.index.save(path)
    return path


def test_held_out_images_find_what_codes_shows(made: Codes, index: Path, run: Path) -> None:
    held_out = open_data("digits:8").validation
    images = [held_out.example(number).pixels for number in made.shown.tolist()]
    found = netspec.see.search(run, images, index=index)
    # an image in another place of its batch may differ by rounding, and so a bit may
    assert np.abs(found.distances - made.distances).max() <= 1
    assert (found.examples == made.by_codes).mean() > 0.9
    train = open_data("digits:8").train
    for q, k in np.ndindex(found.examples.shape):
        pixels, label = train.example(int(found.examples[q, k]))
        assert np.array_equal(found.found[q, k], pixels)
        assert found.names[q][k] == train.classes[label]
    again = netspec.see.search(run, images, index=made.index, data="digits:8")
    assert again.as_json() == found.as_json()


def test_an_image_of_the_index_finds_itself(index: Path, run: Path) -> None:
    pixels = open_data("digits:8").train.example(700).pixels
    found = netspec.see.search(run, pixels, index=index, count=3)
    assert found.distances.shape == (1, 3)
    assert found.distances[0, 0] <= 1  # of 32
    assert "the image: " in str(found)
    assert str(found).endswith(f"{found.distances[0, 2]} of 32 bits differ")


def test_more_images_than_there_are(index: Path, run: Path, made: Codes) -> None:
    with pytest.raises(ValueError, match="count must be an integer from 1 to 100"):
        netspec.see.search(run, made.pixels[0], index=index, count=0)
    with pytest.raises(ValueError, match="images must be at most 50, not 51"):
        netspec.see.search(run, [made.pixels[0]] * 51, index=index)


def test_an_index_of_another_net_or_data_is_refused(index: Path, run: Path, made: Codes) -> None:
    with pytest.raises(DataError, match="is an index of codes of small, not of lenet5"):
        netspec.see.search("lenet5", made.pixels[0], index=index, weights="digits")
    spec = netspec.load(run / "spec.net")
    with pytest.raises(DataError, match="is an index of codes of small with other weights"):
        netspec.see.search(spec, made.pixels[0], index=index)
    with pytest.raises(DataError, match=r"and digits, .* is other data, or has changed: make it"):
        netspec.see.search(run, made.pixels[0], index=index, data="digits:9")


def test_the_picture_has_a_row_per_image(index: Path, run: Path, made: Codes) -> None:
    found = netspec.see.search(run, list(made.pixels[:2]), index=index, count=4)
    panels = [axes for axes in found.figure().axes if axes.get_visible()]
    assert len(panels) == 2 * 5
    text = panels[1].get_xlabel()
    assert text.startswith(f"{found.names[0][0]}\n{found.distances[0, 0]} bit")
