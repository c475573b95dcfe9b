"""Search by binary codes beside exact search: the picture, and what it is made of."""

from __future__ import annotations

import signal
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netspec
from netspec.data import open_data
from netspec.errors import DataError
from netspec.see import codes_figure
from netspec.see.codes import LENGTHS, Codes
from netspec.see.index import CodeIndex
from netspec.see.streaming import Interrupted, forget
from netspec.see.subject import open_seen
from netspec.see.vectors import vectors_of
from tests.see.noise import folder_of


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("netspec.see.codes"), "STEPS", 20)


@pytest.fixture(scope="module")
def made() -> Codes:
    """Codes of lenet5 with the weights that come with it."""
    return netspec.see.codes("lenet5", weights="digits", data="digits")


def same(one: Codes, other: Codes) -> bool:
    """Bit for bit, except for times."""
    for name in ("shown", "by_codes", "by_features", "distances", "is_same", "pixels", "found"):
        if not np.array_equal(getattr(one, name), getattr(other, name)):
            return False
    ways = [[(m.name, m.bits, m.bytes, m.precision) for m in c.methods] for c in (one, other)]
    indices = [
        (c.index.codes.tobytes(), c.index.labels.tobytes(), c.index.numbers.tobytes(),
         [tensor.numpy().tobytes() for layer in c.index.encoder.layers for tensor in layer])
        for c in (one, other)
    ]  # fmt: skip
    return ways[0] == ways[1] and indices[0] == indices[1] and one.caption == other.caption


def test_codes_find_the_class_almost_as_often_as_exact_search(made: Codes) -> None:
    precision = {(method.name, method.bits): method.precision for method in made.methods}
    assert precision["codes", 32] >= 0.95 * precision["features", 0]
    assert precision["features", 0] > 0.97
    for bits in LENGTHS:
        assert precision["codes", bits] > precision["hyperplanes", bits]
    sizes = {(method.name, method.bits): method.bytes for method in made.methods}
    assert (sizes["codes", 32], sizes["features", 0], sizes["pixels", 0]) == (4, 4 * 84, 32 * 32)
    assert all(method.queries_per_second > 0 for method in made.methods)


def test_what_is_shown_is_what_the_index_and_exact_search_find(made: Codes) -> None:
    splits = open_data("digits")
    seen = open_seen("lenet5", weights="digits")
    queries = vectors_of(seen, splits.validation, "F6")
    images = vectors_of(seen, splits.train, "F6")
    assert made.names == tuple("0123456789")
    assert made.row == "F6"
    for place, number in enumerate(made.shown.tolist()):
        earlier = queries.labels[:number]
        assert made.names[place] == str(int(queries.labels[number]))
        assert int(queries.labels[number]) not in earlier  # the first of its class
    values = queries.values[torch.from_numpy(made.shown)]
    places, distances = made.index.nearest(made.index.encoder.encode(values), 6)
    assert np.array_equal(made.index.numbers[places], made.by_codes)
    assert np.array_equal(distances, made.distances)
    squares = torch.cdist(values.double(), images.values.double())
    assert made.by_features.tolist() == squares.argsort(1)[:, :6].tolist()
    for group, found in enumerate((made.by_codes, made.by_features)):
        for s, k in np.ndindex(found.shape):
            pixels, label = splits.train.example(int(found[s, k]))
            assert made.is_same[group, s, k] == (str(label) == made.names[s])
            sample = seen.preparation.sample(pixels).pixels
            assert np.array_equal(made.found[group, s, k], sample)


@pytest.mark.usefixtures("few_steps")
def test_pixels_are_searched_exactly(run: Path) -> None:
    made, splits = netspec.see.codes(run), open_data("digits:8")
    train, held_out = (
        np.stack([split.example(n).pixels.ravel() for n in range(len(split))]).astype(np.int64)
        for split in splits
    )
    labels, wanted = (
        np.array([split.example(n).label for n in range(len(split))]) for split in splits
    )
    right = 0
    for query, label in zip(held_out, wanted, strict=True):
        order = np.argsort(np.square(train - query).sum(1), kind="stable")[:6]
        right += Counter(labels[order].tolist())[label]
    (precision,) = [method.precision for method in made.methods if method.name == "pixels"]
    assert precision == pytest.approx(right / (6 * len(wanted)), abs=1e-12)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> str:
    """100 images to search and 20 queries, in two classes."""
    return folder_of(tmp_path_factory.mktemp("noise"), 50, 10)


@pytest.mark.usefixtures("few_steps")
def test_two_runs_and_all_batches_give_the_same_bits(run: Path, noise: str) -> None:
    one = netspec.see.codes(run, data=noise)
    assert one.row == "C1"
    assert same(netspec.see.codes(run, data=noise), one)
    assert same(netspec.see.codes(run, data=noise, batch=16, workers=1), one)
    other = netspec.see.codes(run, data=noise, seed=1)
    assert not np.array_equal(other.index.codes, one.index.codes)


@pytest.mark.usefixtures("few_steps")
def test_a_part_of_the_data_is_compared_and_all_of_it_is_in_the_index(
    run: Path, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("netspec.see.codes")
    monkeypatch.setattr(module, "MOST_IMAGES", 40)
    monkeypatch.setattr(module, "QUERIES", 7)
    done: list[tuple[int, int]] = []
    part = netspec.see.codes(run, data=noise, row="F2", advance=lambda *counts: done.append(counts))
    assert (part.images, part.queries) == (40, 7)
    root = noise.removeprefix("images:")
    expected = f"queries: 7 of {root}, 20 for validation; searched: 40 of {root}, 100 for training"
    assert part.caption.splitlines()[1] == expected
    assert done[-1] == (7 + 40 + 3 * 20 + 100,) * 2
    assert sorted(done) == done
    assert part.index.numbers.tolist() == [*range(100)]
    seen = open_seen(run)
    vectors = vectors_of(seen, open_data(noise).train, "F2")
    assert np.array_equal(part.index.codes, part.index.encoder.encode(vectors.values))
    assert np.array_equal(part.index.labels, vectors.labels.numpy())
    assert {*part.index.labels[np.unique(part.by_codes)]} == {0, 1}  # of both classes


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("when", [16, 20 + 64, 20 + 100 + 5, 20 + 100 + 2 * 20 + 3])
def test_work_that_is_interrupted_gives_the_same_bits(
    when: int, run: Path, noise: str, tmp_path: Path
) -> None:
    """In the pass over queries, in that over images, in the first and in the last training."""
    state, before, after, whole = tmp_path / "a.pass", list[int](), list[int](), list[int]()

    def advance(done: int, count: int) -> None:
        before.append(done)
        if done == when:
            signal.raise_signal(signal.SIGINT)

    def picture(counts: list[int], **options: Any) -> Codes:
        options = {"advance": lambda done, count: counts.append(done)} | options
        return netspec.see.codes(run, data=noise, batch=16, **options)

    with pytest.raises(Interrupted):
        picture(before, state=state, advance=advance)
    assert before[-1] == when
    assert same(picture(after, state=state), picture(whole))
    assert len(before) + len(after) == len(whole)  # nothing is computed again
    forget(state)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("few_steps")
def test_another_row_and_length(run: Path, noise: str) -> None:
    made = netspec.see.codes(run, data=noise, row="F2", bits=24)
    assert made.index.codes.shape == (100, 3)
    assert made.index.encoder.bits == 24
    assert [(m.name, m.bits) for m in made.methods] == [
        *((name, bits) for bits in (8, 16, 24, 32) for name in ("codes", "hyperplanes")),
        ("features", 0),
        ("pixels", 0),
    ]


@pytest.mark.usefixtures("few_steps")
@pytest.mark.filterwarnings("ignore:.*has only one class")
def test_without_classes_precision_is_not_known_and_codes_are_made(
    run: Path, tmp_path: Path
) -> None:
    made = netspec.see.codes(run, data=folder_of(tmp_path / "data", 9, 2, ("all",)))
    assert made.as_json()["methods"][0]["precision"] is None
    assert "codes, 8 bits: precision at 6 -, 1 byte per image" in str(made)
    texts = [text.get_text() for axes in made.figure().axes for text in axes.texts]
    assert "precision is not known:\nthe data has one class" in texts
    made.index.save(tmp_path / "a.safetensors")
    assert len(CodeIndex.load(tmp_path / "a.safetensors")) == 9


@pytest.mark.usefixtures("few_steps")
def test_too_few_images_and_other_mistakes(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are too few images: codes need at least 6 for training"):
        netspec.see.codes(run, data=folder_of(tmp_path / "few", 2, 1))
    with pytest.raises(DataError, match="small does not have a row `C7`"):
        netspec.see.codes(run, row="C7")
    with pytest.raises(ValueError, match=r"must be a multiple of 8, not 30: .* 24 or 32"):
        netspec.see.codes(run, bits=30)
    for bits in (0, -8, 520):
        with pytest.raises(ValueError, match="bits must be an integer from 8 to 512"):
            netspec.see.codes(run, bits=bits)
    black = netspec.compile(netspec.load(run / "spec.net"))
    black.load_state_dict({name: 0 * t for name, t in black.state_dict().items()})
    with pytest.raises(DataError, match="the activations of C1 are the same for all images"):
        netspec.see.codes(black, data="digits:8")


def test_the_picture_has_images_a_chart_and_a_table(made: Codes, tmp_path: Path) -> None:
    images, chart, table = made.figure().axes
    assert len(images.images) == 10 * 13
    assert len(images.patches) == int((~made.is_same).sum())
    texts = [text.get_text() for text in images.texts]
    assert texts == ["query", "nearest codes, 32 bits", "nearest activations of F6"]
    lines = {line.get_label(): line for line in chart.get_lines()}
    assert {*lines} == {
        "codes of an auto-encoder", "random hyperplanes", "activations of F6, exact",
        "pixels, exact",
    }  # fmt: skip
    drawn = lines["codes of an auto-encoder"].get_xydata()
    expected = [(m.bits, 100 * m.precision) for m in made.methods if m.name == "codes"]
    assert np.asarray(drawn).tolist() == [list(point) for point in expected]
    cells = [text.get_text() for text in table.texts]
    assert len(cells) == 4 * (1 + len(made.methods))
    assert cells[4:7] == ["codes, 8 bits", codes_figure.percent(expected[0][1] / 100), "1"]
    made.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 10_000


def test_numbers_are_short() -> None:
    assert [codes_figure.rate(v) for v in (24_317.0, 830.4, 3.14, 0.25)] == [
        "24,000", "830", "3", "0.25",
    ]  # fmt: skip
    assert codes_figure.percent(0.9612) == "96.1 %"
