"""The matrix of right classes and answers, and the worst mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import netspec
from netspec.data import open_data
from netspec.errors import DataError


def test_the_matrix_counts_what_eval_counts(run: Path) -> None:
    seen = netspec.see.confusion(run)
    errors = netspec.evaluate(run).ensemble
    assert seen.matrix.shape == (10, 10)
    assert seen.matrix.sum() == errors.images
    assert seen.matrix.sum() - np.trace(seen.matrix) == errors.wrong1
    assert seen.error == pytest.approx(errors.top1)
    labels = open_data("digits:8").validation.arrays.labels  # type: ignore[attr-defined]
    assert seen.matrix.sum(1).tolist() == np.bincount(labels).tolist()
    right = seen.matrix.diagonal() / seen.matrix.sum(1)
    assert seen.errors == pytest.approx(100 * (1 - right))


def test_rows_are_right_classes_and_columns_are_answers(run: Path) -> None:
    seen = netspec.see.confusion(run, mistakes=1000)
    counts = np.zeros((10, 10), int)
    for mistake in seen.mistakes:
        counts[mistake.label, mistake.answer] += 1
    off_diagonal = seen.matrix.copy()
    np.fill_diagonal(off_diagonal, 0)
    assert counts.tolist() == off_diagonal.tolist()


def test_the_worst_mistakes_come_first(run: Path) -> None:
    all_of_them = netspec.see.confusion(run, mistakes=1000).mistakes
    differences = [mistake.score - mistake.right_score for mistake in all_of_them]
    assert len(differences) > 3
    assert differences == sorted(differences, reverse=True)
    few = netspec.see.confusion(run, mistakes=3)
    assert few.mistakes == all_of_them[:3]
    dataset = open_data("digits:8").validation
    for mistake, pixels in zip(few.mistakes, few.images, strict=True):
        example = dataset.example(mistake.example)
        assert (example.pixels == pixels).all()
        assert example.label == mistake.label
    (answers,) = netspec.classify(run, few.images[0], top=1)
    assert answers.best.number == few.mistakes[0].answer
    assert netspec.see.confusion(run, mistakes=0).figure().axes


def test_outputs_that_are_not_classes_of_the_data_have_one_column(run: Path) -> None:
    seen = netspec.see.confusion(run, mistakes=0)
    wide = np.zeros((2, 1000), np.int64)
    wide[0, [0, 1, 7, 990]] = 5, 1, 2, 3
    wide[1, 1] = 4
    few = replace(seen, classes=("cat", "dog"), matrix=wide, errors=np.array([54.5, 0.0]))
    axes = few.figure().subfigs[0].axes[0]
    (drawn,) = axes.images
    assert drawn.get_array().shape == (2, 3)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cat", "dog", "other"]
    assert [text.get_text() for text in axes.texts] == ["5", "1", "5", "4"]
    inside = replace(few, matrix=np.eye(2, 1000, dtype=np.int64))
    assert inside.figure().subfigs[0].axes[0].images[0].get_array().shape == (2, 2)


def test_workers_do_not_change_the_result(run: Path) -> None:
    alone, helped = (netspec.see.confusion(run, workers=workers) for workers in (0, 1))
    assert (alone.matrix == helped.matrix).all()
    assert alone.mistakes == helped.mistakes


def test_what_is_missing_is_named(run: Path) -> None:
    with pytest.raises(DataError, match="lenet5 has random weights"):
        netspec.see.confusion("lenet5", "digits")
    with pytest.raises(DataError, match="lenet5 does not have a data set: give one with --data"):
        netspec.see.confusion("lenet5", weights="digits")
    with pytest.raises(DataError, match="classes of small are not those of digits"):
        netspec.see.confusion(run, classes=list("abcdefghij"))
