"""Rates, floors, and what others take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from netspec.timing import machine
from netspec.timing.machine import COPIED, SIZE, Others, Rates, calls, floor
from tests.timing.helpers import case_of


def test_the_floor_is_the_larger_of_products_and_weights(tmp_path: Path) -> None:
    case = case_of(tmp_path, batch=4)
    totals = case.net.totals
    operations, bytes = 8 * totals.macs, 4 * totals.parameters
    bounds = floor(case, Rates(product=1e9, copy=1e9))
    assert bounds["compute_ms"] == pytest.approx(operations / 1e6)
    assert bounds["weights_ms"] == pytest.approx(bytes / 1e6)
    assert bounds["ms"] == bounds["compute_ms"] > bounds["weights_ms"]
    assert floor(case, Rates(product=1e12, copy=1e9))["ms"] == pytest.approx(bytes / 1e6)
    half = case_of(tmp_path, batch=4, dtype="bfloat16")
    assert floor(half, Rates(1e9, 1e9))["weights_ms"] == pytest.approx(bytes / 2e6)


def test_rates_count_two_operations_and_both_ways_of_a_copy() -> None:
    assert Rates.of(1.0, 1.0) == (2 * SIZE**3, 2 * COPIED)


def test_the_yardsticks_multiply_in_the_type_and_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIZE", 16)
    monkeypatch.setattr(machine, "COPIED", 64)
    yardsticks = calls(torch.bfloat16)
    assert (yardsticks["product"]().shape, yardsticks["product"]().dtype) == (
        (16, 16),
        torch.bfloat16,
    )
    assert yardsticks["copy"]().nbytes == 64


def test_others_are_what_is_busy_less_what_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"busy": 100.0, "own": 10.0, "wall": 0.0}
    monkeypatch.setattr(machine, "_busy", lambda: now["busy"])
    monkeypatch.setattr(machine, "_own", lambda: now["own"])
    monkeypatch.setattr(machine, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    others = Others()
    now |= {"busy": 103.0, "own": 11.0, "wall": 2.0}
    assert others.share() == pytest.approx(0.5)  # two seconds out of two processors' four


def test_this_machine_has_a_name_and_threads() -> None:
    description = machine.machine()
    assert description["cpu"]
    assert description["threads"] == torch.get_num_threads()


@pytest.mark.parametrize("said", ["", "550.1, 5\n", "No devices were found\n"])
def test_what_the_driver_does_not_answer_is_unknown(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=said)
    monkeypatch.setattr(subprocess, "run", lambda *how, **options: done)
    names = ("driver_version", "clocks.sm", "clocks.mem")
    assert machine.asked_of_driver(*names) == dict.fromkeys(names, "unknown")
    full = subprocess.CompletedProcess([], 0, stdout="550.1, 5 MHz, 6 MHz\nof another GPU\n")
    monkeypatch.setattr(subprocess, "run", lambda *how, **options: full)
    assert list(machine.asked_of_driver(*names).values()) == ["550.1", "5 MHz", "6 MHz"]


def test_a_driver_that_does_not_answer_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*how: object, timeout: float, **options: object) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert machine.asked_of_driver("driver_version") == {"driver_version": "unknown"}
