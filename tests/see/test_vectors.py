"""The activations of a row for the images of a data set, and the row that is taken by default."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netspec
from netspec.errors import DataError
from netspec.see.images import Sample
from netspec.see.streaming import stream
from netspec.see.subject import Seen, open_seen
from netspec.see.vectors import Collected, features_row, vectors_of, vectors_of_samples
from tests.see.test_streaming import CHUNK, SPEC, data


@pytest.fixture(scope="module")
def seen() -> Seen:
    return open_seen(netspec.loads(SPEC))


@pytest.mark.parametrize(
    ("net", "row"),
    [
        ("lenet5", "F6"),
        ("lenet5_rbf", "F6"),
        ("alexnet", "F7"),
        ("vgg11", "FC2"),
        ("googlenet", "out.gap"),
        ("squeezenet1_0", "fire9"),
    ],
)
def test_the_default_row_is_the_one_before_the_classifier(net: str, row: str) -> None:
    checked = netspec.load(net)
    assert features_row(Seen(_Subject(checked), None)) == row  # type: ignore[arg-type]


class _Subject:
    """A subject without weights, which would take time."""

    def __init__(self, net: netspec.Net) -> None:
        self.model = self
        self.net = net


def test_a_net_with_one_row_needs_a_row() -> None:
    only = netspec.loads("net only\ninput image 4x4x1\nF1: fc 3 | softmax\n")
    with pytest.raises(DataError, match="only does not have a row before its classifier: name"):
        features_row(open_seen(only))


@pytest.mark.parametrize("row", ["C2", "F3"])
def test_the_vectors_are_the_activations(seen: Seen, row: str) -> None:
    dataset = data()
    vectors = vectors_of(seen, dataset, row)
    readable = [number for number in range(75) if number not in dataset.corrupt]
    assert vectors.numbers.tolist() == readable
    assert vectors.labels.tolist() == [number % 2 for number in readable]
    for number, values in zip(readable, vectors.values, strict=True):
        batch = seen.batch([dataset.pixels(number)]).repeat(CHUNK, 1, 1, 1)
        # the last digits depend on the place in the batch
        torch.testing.assert_close(values, seen.features(row, batch)[0].flatten())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_vectors_of_a_net_of_another_type(dtype: torch.dtype) -> None:
    model = netspec.compile(netspec.loads(SPEC), dtype=dtype)
    vectors = vectors_of(open_seen(model), data(), "F3")
    assert vectors.values.dtype == dtype
    assert bool(vectors.values.isfinite().all())


def test_the_vectors_of_single_images_are_those_of_a_pass(seen: Seen) -> None:
    dataset, count = data(20, corrupt=()), 20
    samples = [Sample("", dataset.pixels(number)) for number in range(count)]
    found = vectors_of_samples(seen, "C2", samples)
    assert torch.equal(found, vectors_of(seen, dataset, "C2").values)
    # each image is computed in a batch of one size, whatever their number
    assert torch.equal(vectors_of_samples(seen, "C2", samples[:3]), found[:3])


def test_a_saved_pass_gives_the_same_vectors(seen: Seen, tmp_path: Path) -> None:
    plain, state = vectors_of(seen, data(), "F3"), tmp_path / "a.pass"
    for _ in range(2):
        again = vectors_of(seen, data(), "F3", batch=16, state=state)
        for name in ("numbers", "labels", "values"):
            assert torch.equal(getattr(again, name), getattr(plain, name))


def test_values_of_activations_are_kept_and_a_pass_of_other_values_is_refused(
    seen: Seen, tmp_path: Path
) -> None:
    def sums(about: bytes) -> Collected:
        return Collected(torch.zeros(75), lambda activations: activations.sum(1), about)

    collected, vectors = sums(b"sum"), vectors_of(seen, data(), "F3")
    stream(seen, data(), "F3", collected, state=tmp_path / "a.pass")
    numbers, labels, values = collected.used()
    assert torch.equal(numbers, vectors.numbers)
    assert torch.equal(labels, vectors.labels)
    torch.testing.assert_close(values, vectors.values.sum(1))
    with pytest.raises(DataError, match="is not the state of this pass"):
        stream(seen, data(), "F3", sums(b"other"), state=tmp_path / "a.pass")
