"""Whether an engine computes the net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from netspec.bench.agreement import deviation, exact
from netspec.bench.case import Case
from netspec.runtime.verification import tolerance
from tests.bench.helpers import case_of


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return case_of(tmp_path)


def test_the_exact_scores_are_what_the_softmax_gets(case: Case) -> None:
    (output,) = exact(case)
    assert output.scores is not None
    torch.testing.assert_close(output.scores.softmax(1), output.values)


def test_the_output_itself_agrees_in_its_type_and_a_changed_one_does_not(case: Case) -> None:
    wanted = exact(case)
    y = wanted[0].values
    assert deviation(case, y.float(), wanted).agrees
    assert deviation(case, [y.float().numpy()], wanted).agrees
    assert not deviation(case, y * torch.tensor([1, 1, 1, 1, 1 + 1e-4]), wanted).agrees
    spoilt = y.clone()
    spoilt[1] = spoilt[1].flip(0)  # one image of the batch
    assert not deviation(case, spoilt, wanted).agrees
    assert not deviation(case, torch.full_like(y, float("nan")), wanted).agrees
    spoilt[1, 2] = float("nan")
    assert not deviation(case, spoilt, wanted).agrees


def test_undoing_the_softmax_finds_the_error_of_the_scores(case: Case) -> None:
    wanted = exact(case)
    z = wanted[0].scores
    assert z is not None
    off = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0], dtype=torch.float64) * 1e-3
    comparison = deviation(case, (z + off).softmax(1), wanted)
    assert comparison.error == pytest.approx(float(off.norm() / z.norm(dim=1).min()), rel=1e-3)
    assert tolerance(case.net, torch.float32) < comparison.allowed < 1e-4


def test_classes_that_the_type_cannot_hold_are_left_out(tmp_path: Path) -> None:
    case = case_of(tmp_path, batch=1)
    (only,) = exact(case)
    z = torch.tensor([[0.0, 1.0, 2.0, 3.0, -200.0]], dtype=torch.float64)
    wanted = [type(only)(z.softmax(1), z)]
    assert deviation(case, z.softmax(1).float(), wanted).agrees


def test_without_a_softmax_the_outputs_are_compared(tmp_path: Path) -> None:
    case = case_of(tmp_path, "net tiny\ninput image 4x4x1\na: conv 3x3, 2\n", batch=1)
    wanted = exact(case)
    assert wanted[0].scores is None
    comparison = deviation(case, wanted[0].values * (1 + 1e-3), wanted)
    assert comparison.error == pytest.approx(1e-3)
    assert comparison.allowed == tolerance(case.net, torch.float32)


def test_another_size_is_an_error(case: Case) -> None:
    with pytest.raises(ValueError, match=r"returns \[\[2, 4\]\], not \[\[2, 5\]\]"):
        deviation(case, torch.zeros(2, 4), exact(case))
