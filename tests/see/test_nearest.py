"""The images nearest to points: those of the definition, for all batches and interruptions."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import netspec
from netspec.data.dataset import Dataset, Pixels
from netspec.errors import DataError
from netspec.see import streaming
from netspec.see.images import Sample
from netspec.see.nearest import Nearest
from netspec.see.streaming import Chunk, Interrupted, stream
from netspec.see.subject import Seen, open_seen
from netspec.see.vectors import vectors_of_samples
from tests.examples import examples
from tests.see.test_streaming import SPEC, Counting, data, interrupt
from tests.training.example_data import Drawn

ROW = "F3"


@pytest.fixture(scope="module")
def seen() -> Seen:
    return open_seen(netspec.loads(SPEC))


QUERIES: Pixels = np.stack([Drawn(9, (8, 8)).pixels(number) for number in (100, 7, 101)])
"""The second is image 7 of the data."""


def passed(seen: Seen, dataset: Dataset, kept: int = 6, **options: object) -> Nearest:
    samples = [Sample("a", pixels) for pixels in QUERIES]
    vectors = vectors_of_samples(seen, ROW, samples).double().numpy()
    nearest = Nearest(vectors, QUERIES, kept, seen.preparation.pixels)
    stream(seen, dataset, ROW, nearest, **options)  # type: ignore[arg-type]
    return nearest


def assert_same(one: Nearest, other: Nearest) -> None:
    """Bit for bit."""
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor, other.tensors()[name]), name


def sorted_by(squares: NDArray[np.float64], numbers: list[int], kept: int) -> list[int]:
    """The numbers of the least squares; of equal ones, that of the smaller number."""
    return [number for _, number in sorted(zip(squares.tolist(), numbers, strict=True))][:kept]


def test_the_neighbours_are_those_of_brute_force_in_float64(seen: Seen) -> None:
    dataset, nearest = data(), passed(seen, data())
    numbers = [number for number in range(75) if number not in dataset.corrupt]
    pixels = np.stack([dataset.pixels(number) for number in numbers])
    with torch.inference_mode():
        exact = open_seen(netspec.loads(SPEC)).model.double()
        exact.load_state_dict(seen.model.state_dict())
        features = exact.features(seen.stage_of(ROW))
        vectors = [features(seen.batch(images).double()).numpy() for images in (pixels, QUERIES)]
    for q in range(3):
        others = [n for n, number in enumerate(numbers) if (q, number) != (1, 7)]
        kept = [numbers[n] for n in others]
        far = np.square(pixels[others].astype(int) - QUERIES[q].astype(int)).sum((1, 2, 3))
        assert nearest.numbers[1, q].tolist() == sorted_by(far, kept, 6)
        assert nearest.squares[1, q].tolist() == sorted(far.tolist())[:6]
        far = np.square(vectors[0][others] - vectors[1][q]).sum(1)
        assert nearest.numbers[0, q].tolist() == sorted_by(far, kept, 6)
        # activations are float32 in the pass: their errors of 2**-22 of their size, of which
        # differences are a tenth
        assert nearest.squares[0, q].numpy() == pytest.approx(np.sort(far)[:6], rel=1e-4)
    assert nearest.same.tolist() == [-1, 7, -1]
    assert nearest.copies.tolist() == [0, 1, 0]


@pytest.mark.parametrize("options", [{"batch": 1}, {"batch": 33}, {"batch": 500}, {"workers": 1}])
def test_batches_and_workers_do_not_change_a_bit(seen: Seen, options: dict[str, int]) -> None:
    assert_same(passed(seen, data(), **options), passed(seen, data()))


def test_an_interrupted_pass_continues(seen: Seen, tmp_path: Path) -> None:
    state = tmp_path / "a.pass"
    with pytest.raises(Interrupted) as caught:
        passed(seen, data(), batch=16, state=state, advance=interrupt)
    assert caught.value.number == signal.SIGINT
    assert_same(passed(seen, data(), state=state), passed(seen, data()))


def test_a_killed_pass_continues_from_the_last_save(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "SAVE_EVERY", -1.0)
    dataset, state = Counting(75), tmp_path / "a.pass"

    def kill(done: int, images: int) -> None:
        if done == 48:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        passed(seen, dataset, batch=16, state=state, advance=kill)
    dataset.read.clear()
    continued = passed(seen, dataset, state=state)
    assert dataset.read == [*range(32, 75)]
    assert_same(continued, passed(seen, Counting(75)))


def test_the_state_of_other_queries_is_refused(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "a.pass"
    passed(seen, data(), state=state)
    monkeypatch.setitem(globals(), "QUERIES", QUERIES[::-1])
    with pytest.raises(DataError, match="is not the state of this pass"):
        passed(seen, data(), state=state)


@examples(40)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.integers(1, 7),
    st.integers(1, 16),
)
def test_of_equal_distances_the_first_images_are_taken(
    values: list[int], kept: int, size: int
) -> None:
    """Images of one pixel, of which many are equal, in chunks of any size."""
    points = np.zeros((1, 1)), np.zeros((1, 1, 1, 1), np.uint8)
    nearest = Nearest(*points, kept, lambda images: images.movedim(1, -1).numpy().astype(np.uint8))
    column = torch.tensor(values, dtype=torch.float32)[:, None]
    numbers = torch.arange(len(values))
    for start in range(0, len(values), size):
        some = slice(start, start + size)
        images = column[some, :, None, None]
        nearest.add(Chunk(numbers[some], numbers[some], images, -column[some]))
    others = [(value, number) for number, value in enumerate(values) if value]
    expected = [number for _, number in sorted(others)][:kept]
    for space in range(2):
        there = nearest.numbers[space, 0]
        assert there.tolist() == expected + [-1] * (kept - len(expected))
        assert nearest.squares[space, 0][there >= 0].tolist() == [
            values[number] ** 2 for number in expected
        ]
    assert nearest.copies.tolist() == [values.count(0)]
    assert nearest.same.tolist() == [values.index(0) if 0 in values else -1]


def test_near_vectors_far_from_zero_are_in_order() -> None:
    """With |a|^2 + |b|^2 - 2ab, all these distances are 0 or noise."""
    steps = np.array([3.0, 1.0, 2.0])
    images = torch.arange(1.0, 4.0)[:, None, None, None]
    nearest = Nearest(
        np.full((1, 1), 2.0**40), np.zeros((1, 1, 1, 1), np.uint8), 3,
        lambda given: given.movedim(1, -1).numpy().astype(np.uint8),
    )  # fmt: skip
    far = torch.from_numpy(2.0**40 + steps * 2.0**-10)[:, None]
    nearest.add(Chunk(torch.arange(3), torch.arange(3), images, far))
    assert nearest.numbers[0, 0].tolist() == [1, 2, 0]
    assert nearest.squares[0, 0].sqrt().tolist() == [2.0**-10, 2 * 2.0**-10, 3 * 2.0**-10]


def test_what_is_kept_does_not_grow_with_the_data(seen: Seen) -> None:
    sizes = [
        {name: tensor.shape for name, tensor in passed(seen, data(count)).tensors().items()}
        for count in (40, 75)
    ]
    assert sizes[0] == sizes[1]


def test_an_empty_data_set_is_refused(seen: Seen) -> None:
    with pytest.raises(DataError, match="no image of drawn images can be used"):
        passed(seen, data(0, ()), kept=0)
