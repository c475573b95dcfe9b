"""The nearest images of images: those of the definition, for all batches and interruptions."""

from __future__ import annotations

import signal
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import netspec
from netspec.data import open_data
from netspec.data.dataset import Dataset, Pixels
from netspec.errors import DataError
from netspec.see import streaming
from netspec.see.images import Sample
from netspec.see.neighbours import Nearest
from netspec.see.streaming import Chunk, Interrupted, stream
from netspec.see.subject import Seen, open_seen
from netspec.see.vectors import vectors_of_samples
from tests.examples import examples
from tests.see.test_streaming import SPEC, Counting, Equal, data, interrupt
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


# ------------------------------------------------------------------------------------- the picture


def test_the_picture_shows_images_of_the_data(run: Path, tmp_path: Path) -> None:
    splits = open_data("digits:8")
    folder = tmp_path / "3"
    folder.mkdir()
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


def test_an_empty_data_set_is_refused(seen: Seen) -> None:
    with pytest.raises(DataError, match="no image of drawn images can be used"):
        passed(seen, data(0, ()), kept=0)


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
        netspec.see.neighbours(model, QUERIES[0], data="digits:8")


def test_activations_of_an_image_that_are_not_finite_are_refused(seen: Seen) -> None:
    broken = open_seen(netspec.loads(SPEC))
    with torch.no_grad():
        broken.model.C1.bias[0] = 3e38
        broken.model.C2.weight[0, 0] = 1e3
    with pytest.raises(DataError, match=r"of F3 of small are not finite for a\.png"):
        vectors_of_samples(broken, "F3", [Sample("a.png", QUERIES[0])])
