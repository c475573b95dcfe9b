from __future__ import annotations

from dataclasses import replace

import pytest

from netspec.comparing.differences import of_pairs, of_samples
from netspec.comparing.measuring import after_epochs, steps_to, while_training
from netspec.training.metrics import Epoch

ROW = Epoch(
    epoch=1,
    steps=10,
    lr=0.1,
    loss=1.0,
    train_error=50.0,
    top1=40.0,
    top5=5.0,
    images_per_second=100.0,
    waiting=0.0,
    corrupt=0,
    seconds=1.0,
)
ROWS = [ROW, replace(ROW, epoch=2, steps=20, train_error=20.0, top1=8.0)]


def test_a_mean_over_an_epoch_stands_at_its_middle() -> None:
    assert while_training(ROWS, chance=90.0) == [(0, 90), (5, 50), (15, 20)]
    assert after_epochs(ROWS, chance=90.0) == [(0, 90), (10, 40), (20, 8)]


@pytest.mark.parametrize(
    ("level", "steps"),
    [
        (70, 2.5),  # half of the way from 90 to 50, at steps 0 to 5
        (50, 5),
        (25, 5 + 10 * 25 / 30),
        (20, 15),
        (19.9, None),
        (95, 0),
    ],
)
def test_steps_to_a_level_are_interpolated(level: float, steps: float | None) -> None:
    interpolated = steps_to(level, while_training(ROWS, chance=90.0))
    assert interpolated == (None if steps is None else pytest.approx(steps))


def test_a_level_counts_where_it_is_first_reached() -> None:
    assert steps_to(10, [(0, 90), (1, 10), (2, 30), (3, 5)]) == 1


@pytest.mark.parametrize(
    ("one", "other", "is_larger"),
    [
        ([2.0, 2.2, 2.1], [3.0, 3.1, 3.3], True),
        ([2.0, 2.9, 2.4], [2.1, 3.1, 2.6], False),
        ([1.0, 1.1], [1.0, 1.4, 0.6], False),
    ],
)
def test_the_interval_is_welchs(one: list[float], other: list[float], is_larger: bool) -> None:
    from scipy.stats import ttest_ind

    difference = of_samples(one, other)
    assert difference is not None
    interval = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))
    assert difference.value == pytest.approx((difference.low + difference.high) / 2)
    assert difference.is_larger_than_noise is is_larger


def test_pairs_are_held_against_each_other() -> None:
    from scipy.stats import ttest_rel

    one, other = [2.0, 3.0, 5.1], [2.5, 3.4, 5.7]
    difference = of_pairs(one, other)
    assert difference is not None
    interval = ttest_rel(one, other).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))
    assert difference.is_larger_than_noise
    of_two_samples = of_samples(one, other)
    assert of_two_samples is not None
    assert not of_two_samples.is_larger_than_noise
    assert of_pairs([1.0], [2.0]) is None


def test_one_run_says_nothing_of_noise_and_equal_runs_have_none() -> None:
    assert of_samples([1.0], [2.0, 3.0]) is None
    difference = of_samples([1.0, 1.0], [2.0, 2.0])
    assert difference is not None
    assert (difference.low, difference.high, difference.is_larger_than_noise) == (-1, -1, True)
    same = of_samples([1.0, 1.0], [1.0, 1.0])
    assert same is not None
    assert not same.is_larger_than_noise
