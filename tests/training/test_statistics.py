from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from netspec import DataError
from netspec.files.tensors import opened_tensors
from netspec.ir.recipe import Center, Flip, PrincipalComponents, Range, Resize, Subtract
from netspec.ir.shapes import Shape
from netspec.runtime.weights import save_tensors
from netspec.training import statistics
from netspec.training.statistics import Statistics, Sums, are_needed, digest_of, measured
from tests.training.example_data import Drawn, recipe

SHAPE = Shape((6, 7, 3))
MEDIAN = Subtract(what="median", over="image")
COUNT = 2 * statistics.CHUNK + 3


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    """All images of the data set below, [N, H, W, C]."""
    return np.stack([Drawn(COUNT, (6, 7)).pixels(i) for i in range(COUNT)])


def assert_same(a: Statistics, b: Statistics) -> None:
    for field in fields(Statistics):
        assert np.array_equal(getattr(a, field.name), getattr(b, field.name)), field.name


def test_statistics_are_numpys_over_the_whole_set(whole: np.ndarray) -> None:
    stats = measured(Drawn(COUNT, (6, 7)), recipe([MEDIAN]), SHAPE)
    pixels = whole.reshape(-1, 3)
    assert stats.count == COUNT
    assert np.array_equal(stats.mean_image, whole.mean(axis=0))
    assert np.array_equal(stats.median_image, np.median(whole, axis=0))
    assert np.array_equal(stats.mean_channel, pixels.mean(axis=0))
    assert np.array_equal(stats.median_channel, np.median(pixels, axis=0))
    np.testing.assert_allclose(stats.covariance, np.cov(pixels.T, bias=True), rtol=1e-12)


def test_an_even_number_has_two_in_the_middle() -> None:
    data = Drawn(4, (6, 7))
    stats = measured(data, recipe([MEDIAN]), SHAPE)
    whole = np.stack([data.pixels(i) for i in range(4)])
    assert np.array_equal(stats.median_image, np.median(whole, axis=0))
    assert (stats.median_image % 1 == 0.5).any()


def test_axes_are_the_covariances(whole: np.ndarray) -> None:
    stats = measured(Drawn(COUNT, (6, 7)), recipe(), SHAPE)
    p, values = stats.eigenvectors, stats.eigenvalues
    assert (np.diff(values) <= 0).all()
    assert (np.abs(p).max(axis=0) == p.max(axis=0)).all()
    np.testing.assert_allclose(p.T @ p, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(p * values @ p.T, stats.covariance, rtol=1e-12)


def test_close_values_far_from_zero_keep_their_covariance() -> None:
    # n sum xx' and sum x sum x' agree in 14 digits here, of which float64 has 16
    bright = np.full((2000, 2000, 1), 255, np.uint8)
    bright[0, 0] = 254
    sums = Sums(medians=False)
    sums.add(bright)
    share = 1 / bright.size
    assert sums.statistics("").covariance[0, 0] == pytest.approx(share * (1 - share), rel=1e-14)


def test_images_go_through_the_steps_that_change_sizes() -> None:
    steps = [Resize(size=(8, 9)), Center(size=(6, 7)), Range(low=0, high=1)]
    stats = measured(Drawn(3, (20, 30), (30, 20)), recipe(steps), SHAPE)
    assert stats.mean_image is not None
    assert stats.mean_image.shape == SHAPE
    assert stats.mean_channel.max() > 1, "of raw values, whatever `range` says"


def test_images_of_several_sizes_have_no_mean_image() -> None:
    data = Drawn(5, (6, 7), (3, 4))
    stats = measured(data, recipe([MEDIAN]), SHAPE)
    assert stats.mean_image is None
    assert stats.median_image is None
    pixels = np.concatenate([data.pixels(i).reshape(-1, 3) for i in range(5)])
    assert np.array_equal(stats.mean_channel, pixels.mean(axis=0))
    with pytest.raises(DataError, match="there is no mean image"):
        stats.of("mean", "image")


def test_workers_find_the_same() -> None:
    data, asked = Drawn(COUNT, (6, 7), corrupt=(5, 300)), recipe([MEDIAN])
    alone = measured(data, asked, SHAPE, allowed=2)
    assert alone.count == COUNT - 2
    assert_same(alone, measured(data, asked, SHAPE, allowed=2, workers=2))


def test_corrupt_images_are_left_out_and_reported_up_to_a_limit() -> None:
    data, seen = Drawn(COUNT, (6, 7), corrupt=(5, 300)), []
    measured(
        data, recipe(), SHAPE, allowed=2, report=lambda done, faults: seen.append((done, faults))
    )
    assert [done for done, _ in seen] == [256, 512, COUNT]
    assert [len(faults) for _, faults in seen] == [1, 1, 0]
    assert "image-300.png" in seen[1][1][0]
    with pytest.raises(DataError, match=r"2 images of drawn images.*1 are allowed.*image-300"):
        measured(data, recipe(), SHAPE, allowed=1)
    with pytest.raises(DataError, match="no image of drawn images can be used, such as"):
        measured(Drawn(2, (6, 7), corrupt=(0, 1)), recipe(), SHAPE, allowed=2)


def test_statistics_survive_a_file(tmp_path: Path) -> None:
    path = tmp_path / "statistics.safetensors"
    for sizes in ([(6, 7)], [(6, 7), (3, 4)]):
        stats = measured(Drawn(5, *sizes), recipe([MEDIAN]), SHAPE)
        statistics.save(stats, path)
        assert_same(statistics.load(path, stats.digest, 3), stats)


def test_statistics_of_other_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "statistics.safetensors"
    data = Drawn(5, (6, 7))
    statistics.save(measured(data, recipe(), SHAPE), path)
    for other in (
        digest_of(Drawn(6, (6, 7)), recipe(), SHAPE),
        digest_of(data, recipe([Resize(size=(6, 7))]), SHAPE),
        digest_of(data, recipe(), Shape((6, 7, 1))),
    ):
        with pytest.raises(DataError, match=f"{path.name} are for other data"):
            statistics.load(path, other, 3)
    same = digest_of(data, recipe([MEDIAN], [Flip()]), SHAPE)
    assert statistics.load(path, same, 3).count == 5


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        statistics.load(tmp_path / "none", "", 3)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DataError, match="text"):
        statistics.load(tmp_path / "text", "", 3)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "mean_image",
            torch.zeros(3, dtype=torch.float64),
            "mean_image is .3., not height x width",
        ),
        ("mean_image", torch.zeros(6, 7, 1, dtype=torch.float64), "not height x width x 3"),
        ("mean_channel", torch.zeros(1, dtype=torch.float64), r"\[1\] in the file, \[3\]"),
        ("covariance", torch.zeros(3, dtype=torch.float64), r"\[3\] in the file, \[3, 3\]"),
        ("mean_channel", torch.full((3,), float("nan")).double(), "mean_channel is not finite"),
        ("more", torch.zeros(1, dtype=torch.float64), "not in the statistics: more"),
        ("eigenvalues", None, "missing: eigenvalues"),
    ],
)
def test_arrays_of_another_shape_are_named_and_not_broadcast(
    name: str, array: torch.Tensor | None, message: str, tmp_path: Path
) -> None:
    path, stats = tmp_path / "statistics.safetensors", measured(Drawn(5, (6, 7)), recipe(), SHAPE)
    statistics.save(stats, path)
    with opened_tensors(path) as file:
        arrays = file.read()
    arrays.pop(name, None)
    if array is not None:
        arrays[name] = array
    save_tensors(arrays, path, {"digest": stats.digest, "count": "5"})
    with pytest.raises(DataError, match=message):
        statistics.load(path, stats.digest, 3)


def test_what_asks_for_statistics() -> None:
    shift = PrincipalComponents(deviation=0.1, of="eigenvalue")
    assert are_needed(recipe([MEDIAN]))
    assert are_needed(recipe(augment=[shift]))
    assert not are_needed(recipe([Range(low=0, high=1)], [Flip()]))
