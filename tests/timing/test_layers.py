"""A compiled net step by step: medians in the order of its plan, beside the machine's rates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netspec
from netspec.lowering.backend import Timed
from netspec.timing import layers, rates
from netspec.timing.floor import fewest, of_stage
from netspec.timing.layers import Profile, measured, profiled
from tests.timing.helpers import case_of


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 1 << 16)


def test_medians_are_of_the_second_run_of_each_round_but_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(tmp_path)
    model = netspec.compile(case.net, batch=case.batch)
    stages = [step.stage for step in model.lowered.plan.steps]
    runs = iter([9.0, 9.0, 9.0, 1.0, 9.0, 3.0, 9.0, 2.0])

    def profile(*images: torch.Tensor) -> list[Timed]:
        seconds = next(runs)
        return [Timed(stage, "way", seconds + i) for i, stage in enumerate(stages)]

    monkeypatch.setattr(model, "profile", profile)
    advanced: list[None] = []
    result = profiled(model, case.images, 3, lambda: advanced.append(None))
    assert [step.median for step in result.steps] == [2.0 + i for i in range(len(stages))]
    assert {step.samples for step in result.steps} == {3}
    assert result.seconds == sum(step.median for step in result.steps)
    assert len(advanced) == layers.steps(1, 1, 3) == 4
    assert min(result.rates) > 0
    steps = zip(model.lowered.plan.steps, result.steps, strict=True)
    assert all(floor_of(model, result, step.stage) <= timed.median for step, timed in steps)


def test_a_case_has_an_entry_for_each_step(tmp_path: Path) -> None:
    case = case_of(tmp_path, dtype="bfloat16")
    told: list[str] = []
    entry = measured(case, 1, told.append)
    assert told == ["tiny, batch 2: steps of the compiled net"] * 2
    conv, fc, softmax = entry["layers"]
    assert [conv["op"], fc["op"], softmax["op"]] == ["conv_relu", "fc", "softmax"]
    assert conv["gflop"] == pytest.approx(2 * 2 * 36 * 4 * 27 / 1e9)
    weights = 4 * 27 + 4
    assert conv["megabytes"] == pytest.approx(2 * (2 * (64 * 3 + 36 * 4) + weights) / 1e6)
    assert conv["median_ms"] > 0
    assert entry["floor"].keys() == {"gflop_per_s", "copy_gb_per_s"}


def floor_of(model: netspec.Compiled, profile: Profile, stage: str) -> float:
    return of_stage(model.lowered.problems[stage], model.lowered.backend, profile.rates, 0)


def test_no_step_is_faster_than_its_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is faster than all yardsticks is what the machine can do."""
    case = case_of(tmp_path)
    model = netspec.compile(case.net, batch=case.batch)

    def profile(*images: torch.Tensor) -> list[Timed]:
        return [Timed(step.stage, "way", 1e-15) for step in model.lowered.plan.steps]

    monkeypatch.setattr(model, "profile", profile)
    monkeypatch.setattr(rates, "cache_size", lambda device: 10)
    result = profiled(model, case.images, 2)
    floors = [floor_of(model, result, step.stage) for step in model.lowered.plan.steps]
    assert max(floors) == pytest.approx(1e-15)
    most = max(fewest(p, model.lowered.backend) for p in model.lowered.problems.values())
    assert result.rates.product == pytest.approx(most / 1e-15)


def test_maps_that_stay_in_the_cache_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(tmp_path)
    model = netspec.compile(case.net, batch=case.batch)
    step = model.lowered.plan.steps[-1]  # softmax: no products
    moved = model.lowered.problems[step.stage].bytes
    monkeypatch.setattr(rates, "cache_size", lambda device: 0)

    def floor_with(kept: int) -> float:
        def profile(*images: torch.Tensor) -> list[Timed]:
            steps = model.lowered.plan.steps
            return [Timed(s.stage, "way", 1e-15 if s is step else 1.0, kept) for s in steps]

        monkeypatch.setattr(model, "profile", profile)
        monkeypatch.setattr(layers, "compiled", lambda case: model)
        entry: float = measured(case, 2, lambda told: None)["layers"][-1]["floor_ms"]
        return entry

    assert floor_with(0) == pytest.approx(1e-12)  # its rate is that of memory
    assert floor_with(moved) == 0
