"""Testing: places of right answers, and errors."""

from __future__ import annotations

import torch

from netspec.training.testing import Errors, place_of


def test_the_place_of_the_right_class() -> None:
    outputs = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    labels = torch.tensor([1, 0, 1, 0])
    assert place_of(outputs, labels, "most").tolist() == [1, 1, 2, 3]
    assert place_of(outputs, labels, "least").tolist() == [3, 2, 3, 1]


def test_what_is_not_a_number_is_never_right() -> None:
    outputs = torch.tensor([[float("nan")] * 2, [0.5, float("nan")], [float("nan"), 0.5]])
    places = place_of(outputs, torch.tensor([0, 0, 0]), "most")
    assert (places > 1).all()


def test_errors_are_percentages() -> None:
    assert Errors(images=200, wrong1=7, wrong5=1).top1 == 3.5
    assert Errors(images=200, wrong1=7, wrong5=1).top5 == 0.5
