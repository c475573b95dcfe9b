"""Whether an engine computes the net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from netspec.runtime.verification import tolerance
from netspec.timing.agreement import Exact, deviation, exact, incomparable
from netspec.timing.case import Case
from tests.timing.helpers import EVERY, bundled_case, case_of


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


def test_a_sum_that_is_not_one_is_an_error_of_its_own(case: Case) -> None:
    wanted = exact(case)
    comparison = deviation(case, 1.02 * wanted[0].values, wanted)
    assert comparison.error == pytest.approx(0.02)
    assert comparison.allowed < 1e-5


def swapped(y: Tensor, generator: torch.Generator) -> Tensor:
    y = y.clone()
    y[:, [0, -1]] = y[:, [-1, 0]]
    return y


def blurred(y: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    return y * (1 + 0.02 * noise)


def random(y: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(y.shape, generator=generator, dtype=y.dtype)


NOISE: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "zeros": lambda y, _: torch.zeros_like(y),
    "uniform": lambda y, _: torch.full_like(y, 1 / y.shape[1]),
    "random": random,
    "another random softmax": lambda y, generator: random(y, generator).softmax(1),
    "the mean of each image": lambda y, _: y.mean(dim=1, keepdim=True).expand_as(y),
    "one image for all": lambda y, _: y[:1].expand_as(y),
    "the other image": lambda y, _: y.flip(0),
    "two classes swapped": swapped,
    "2 % too much": lambda y, _: 1.02 * y,
    "2 % off": blurred,
}

OF_CLASSES = {"the mean of each image", "two classes swapped"}
"""Changes that do nothing to an output of one channel, such as the mask of unet."""


def noises(outputs: Sequence[Tensor]) -> dict[str, Callable[[Tensor, torch.Generator], Tensor]]:
    has_classes = all(y.shape[1] > 1 for y in outputs)
    return {n: change for n, change in NOISE.items() if has_classes or n not in OF_CLASSES}


@pytest.mark.parametrize("name", EVERY)
def test_noise_is_caught_on_every_net(name: str, tmp_path: Path) -> None:
    case = bundled_case(name, tmp_path)
    wanted = exact(case)
    outputs = [w.values.float() for w in wanted]
    generator = torch.Generator().manual_seed(1)
    assert incomparable(case, wanted) is None
    assert deviation(case, outputs, wanted).agrees
    passed = {
        noise
        for noise, change in noises(outputs).items()
        if deviation(case, [change(y, generator) for y in outputs], wanted).agrees
    }
    assert not passed


@pytest.mark.parametrize("name", EVERY)
def test_outputs_of_nothing_are_caught_in_bfloat16(name: str, tmp_path: Path) -> None:
    """What is off by less than rounding explains, such as 2 %, passes there."""
    case = bundled_case(name, tmp_path, "bfloat16")
    wanted = exact(case)
    outputs = [w.values.bfloat16() for w in wanted]
    generator = torch.Generator().manual_seed(1)
    assert incomparable(case, wanted) is None
    assert deviation(case, outputs, wanted).agrees
    coarse = {"zeros", "uniform", "random", "another random softmax", "the mean of each image"}
    for noise in [n for n in noises(outputs) if n in coarse]:
        changed = [NOISE[noise](y, generator) for y in outputs]
        assert not deviation(case, changed, wanted).agrees, noise


def test_scores_that_saturate_the_softmax_are_not_compared(tmp_path: Path) -> None:
    case = case_of(tmp_path, batch=1)
    z = torch.tensor([[0.0, 1.0, 2.0, 3.0, -200.0]], dtype=torch.float64)
    said = "not compared: softmax leaves 4 of 5 classes that float32 can hold"
    assert incomparable(case, [Exact(z.softmax(1), z)]) == said


@pytest.mark.parametrize(
    ("scores", "values"),
    [
        ([[3.0, 3.0 + 1e-7]], None),  # all is lost in rounding
        ([[3.0]], None),  # a softmax over one class
        (None, [[0.0, 0.0]]),
        (None, [[5.0, 5.0 + 1e-7]]),
        (None, [[float("nan"), 1.0]]),
    ],
)
def test_outputs_that_are_all_the_same_are_not_compared(
    scores: list[list[float]] | None, values: list[list[float]] | None, tmp_path: Path
) -> None:
    case = case_of(tmp_path, batch=1)
    z = None if scores is None else torch.tensor(scores, dtype=torch.float64)
    y = torch.tensor(values, dtype=torch.float64) if z is None else z.softmax(1)
    said = incomparable(case, [Exact(y, z)])
    assert said is not None
    assert said.startswith("not compared: uniform outputs would be off by ")


def test_a_single_number_is_compared(tmp_path: Path) -> None:
    case = case_of(tmp_path, batch=1)
    assert incomparable(case, [Exact(torch.tensor([[2.0]], dtype=torch.float64), None)]) is None


def test_unscaled_weights_of_a_residual_net_are_not_compared(tmp_path: Path) -> None:
    case = bundled_case("narrow_resnet50", tmp_path)
    vars(case)["scales"] = {}
    said = incomparable(case, exact(case))
    assert said is not None
    assert said.startswith("not compared: softmax leaves ")


def test_maps_of_scores_are_compared_pixel_by_pixel(tmp_path: Path) -> None:
    case = case_of(tmp_path, "net tiny\ninput image 4x4x1\na: conv 3x3, 3 | softmax\n", batch=1)
    wanted = exact(case)
    y = wanted[0].values.float()
    assert y.shape == (1, 3, 2, 2)
    assert deviation(case, y, wanted).agrees
    assert not deviation(case, y.flip(3), wanted).agrees
    assert not deviation(case, y * torch.tensor([1.0, 1.001]), wanted).agrees  # a column of pixels


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
