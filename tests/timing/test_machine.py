"""The name of the machine, and what others take."""

from __future__ import annotations

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
