"""The picture of the nearest images, and the images that neighbours are looked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.data import open_data
from netspec.errors import DataError
from netspec.see.images import Sample
from netspec.see.subject import open_seen
from netspec.see.vectors import vectors_of_samples
from tests.see.test_streaming import SPEC, Equal


def test_the_picture_shows_images_of_the_data(run: Path) -> None:
    splits = open_data("digits:8")
    held_out = splits.validation.example(4)
    seen = netspec.see.neighbours(run, held_out.pixels, queries=[4, 9], count=4)
    assert seen.spaces == ("C1", "pixels")
    assert "activations of C1, 4 maps flattened, and by pixels" in seen.caption
    assert seen.images == ("the image", "validation image 4", "validation image 9")
    names = splits.validation.classes
    assert seen.labels[0] == ""
    assert seen.labels[1] == names[held_out.label]
    assert seen.examples.shape == (2, 3, 4)
    for position in np.ndindex(2, 3, 4):
        example = splits.train.example(int(seen.examples[position]))
        assert np.array_equal(seen.neighbours[position], example.pixels)
        space, q, k = position
        assert seen.names[space][q][k] == names[example.label]
    differences = seen.neighbours[1].astype(float) - seen.pixels[:, np.newaxis]
    assert seen.distances[1] == pytest.approx(np.sqrt(np.square(differences).sum((2, 3, 4))))
    assert (np.diff(seen.distances) >= 0).all()
    # the same image three times: as an array, and by its number
    assert (seen.examples[:, 0] == seen.examples[:, 1]).all()
    drawn = seen.figure().axes[0]
    assert len(drawn.images) == 3 * (1 + 2 * 4)
    assert [text.get_text() for text in drawn.texts].count("pixels") == 3


def test_batches_workers_and_the_state_do_not_change_the_picture(run: Path, tmp_path: Path) -> None:
    plain = netspec.see.neighbours(run, queries=[1, 2], row="F2").as_json()
    state = tmp_path / "a.pass"
    assert netspec.see.neighbours(run, queries=[1, 2], row="F2", batch=7, workers=1, state=state)\
        .as_json() == plain  # fmt: skip
    assert netspec.see.neighbours(run, queries=[1, 2], row="F2", state=state).as_json() == plain
    assert plain["spaces"] == ["F2", "pixels"]


def test_an_image_of_the_data_is_not_its_own_neighbour(run: Path) -> None:
    train = open_data("digits:8").train
    seen = netspec.see.neighbours(run, train.example(12).pixels, count=3)
    assert seen.same.tolist() == [12]
    assert seen.copies.tolist() == [1]
    assert 12 not in seen.examples
    assert seen.labels == (train.classes[train.example(12).label],)  # the data knows it
    assert "the image (" in str(seen)
    assert "): it is image 12 of the data, not counted as a neighbour" in str(seen)


def test_the_class_is_that_of_the_folder(run: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "7").mkdir()
    (tmp_path / "x").mkdir()
    for folder in ("7", "x"):
        Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / folder / "a.png")
    paths = [str(tmp_path / folder / "a.png") for folder in ("7", "x")]
    seen = netspec.see.neighbours(run, paths, count=1)
    assert seen.labels == ("7", "")
    assert f"{paths[0]} (7)\n  C1: " in str(seen)


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_images_than_neighbours(
    run: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    dataset = Equal(count, (8, 8), channels=1)
    module = import_module("netspec.see.neighbours")  # the package has a function of that name
    monkeypatch.setattr(module, "split_of", lambda *_: dataset)
    other = np.full((8, 8, 1), 101, np.uint8)
    seen = netspec.see.neighbours(run, [other, dataset.pixels(0)[..., :1]])
    assert seen.examples.shape == (2, 2, count)
    assert seen.examples[:, 0].tolist() == [[*range(count)]] * 2
    assert seen.examples[:, 1].tolist() == [[-1] * count] * 2
    assert seen.same.tolist() == [-1, 0]
    assert seen.copies.tolist() == [0, count]
    assert "C1: no other image" in str(seen)
    assert seen.as_json()["distances"][1][1] == [None] * count
    more = "images 0 and 2 others" if count == 3 else "image 0"
    assert f"it is {more} of the data" in str(seen)
    assert len(seen.figure().axes[0].images) == 2 + 2 * count


def test_bad_arguments(run: Path) -> None:
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(ValueError, match="give 1 to 50 images in images and queries together"):
        netspec.see.neighbours(run)
    with pytest.raises(ValueError, match="together, not 51"):
        netspec.see.neighbours(run, queries=range(51))
    with pytest.raises(DataError, match="for validation, does not have an image 400: its images"):
        netspec.see.neighbours(run, queries=[400])
    with pytest.raises(ValueError, match="each of queries must be an integer"):
        netspec.see.neighbours(run, queries=[-1])
    with pytest.raises(ValueError, match="count must be an integer from 1 to 100, not 0"):
        netspec.see.neighbours(run, image, count=0)
    with pytest.raises(DataError, match="did you mean `C1`"):
        netspec.see.neighbours(run, image, row="C11")
    with pytest.raises(DataError, match="lenet5 does not have a data set: give one with --data"):
        netspec.see.neighbours("lenet5", image, weights="digits")
    with pytest.raises(DataError, match=r"none\.png"):
        netspec.see.neighbours(run, "none.png")


def test_weights_that_are_not_finite_are_named(run: Path) -> None:
    model = netspec.compile(netspec.loads(SPEC))
    state = model.state_dict()
    state["C1.weight"][0, 0, 0, 0] = float("nan")
    model.load_state_dict(state)
    with pytest.raises(DataError, match=r"the weights of small are not finite: .*C1\.weight"):
        netspec.see.neighbours(model, np.zeros((8, 8, 3), np.uint8), data="digits:8")


def test_activations_of_an_image_that_are_not_finite_are_refused() -> None:
    broken = open_seen(netspec.loads(SPEC))
    with torch.no_grad():
        broken.model.C1.bias[0] = 3e38
        broken.model.C2.weight[0, 0] = 1e3
    with pytest.raises(DataError, match=r"of F3 of small are not finite for a\.png"):
        vectors_of_samples(broken, "F3", [Sample("a.png", np.zeros((8, 8, 3), np.uint8))])
