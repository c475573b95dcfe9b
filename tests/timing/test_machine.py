"""The name of the machine, and what others take."""

from __future__ import annotations

import subprocess

import pytest
import torch

from netspec.timing import machine
from netspec.timing.machine import Others


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
