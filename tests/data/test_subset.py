"""A part of a data set."""

from __future__ import annotations

import pickle

import numpy as np

from netspec.data import open_data
from netspec.data.subset import Subset


def test_examples_are_those_of_the_data_set() -> None:
    whole = open_data("digits:8").train
    part = Subset(whole, np.array([5, 900, 17]))
    assert len(part) == 3
    assert part.classes == whole.classes
    for place, number in enumerate((5, 900, 17)):
        assert np.array_equal(part.example(place).pixels, whole.example(number).pixels)
        assert part.example(place).label == whole.example(number).label
        assert part.called(place) == whole.called(number)


def test_the_digest_is_that_of_the_part() -> None:
    splits = open_data("digits:8")
    part = Subset(splits.train, np.array([1, 2]))
    assert part.digest == Subset(splits.train, np.array([1, 2])).digest
    assert part.digest != Subset(splits.train, np.array([2, 1])).digest
    assert part.digest != Subset(splits.validation, np.array([1, 2])).digest


def test_it_is_sent_to_other_processes() -> None:
    whole = open_data("digits:8").train
    part = Subset(whole, np.array([1, 2]))
    sent = pickle.dumps(part)
    assert len(sent) < len(pickle.dumps(whole)) + 1000
    assert np.array_equal(pickle.loads(sent).example(1).pixels, part.example(1).pixels)
