from __future__ import annotations

import pytest

import netspec
from netspec.reporting import measuring
from netspec.reporting.measuring import Measured, Step


def test_a_step_counts_once_in_the_times_of_rows() -> None:
    net = netspec.load("lenet5")
    names = {row.label: net.graph.rows[row.label].stages for row in net.rows}
    shared = (*names["C1"], *names["S2"])
    measured = Measured(
        (Step("onednn", 0.5, shared), Step("plain", 0.25, tuple(names["C3"]))), "a CPU"
    )
    times = {label: measured.seconds_of(net, label) for label in names}
    assert times["C1"] == 0
    assert times["S2"] == 0.5
    assert sum(times.values()) == measured.seconds == 0.75


def test_measured_times_are_in_the_graph_and_in_the_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "ROUNDS", 1)
    made = netspec.report("lenet5", sections=["graph", "costs"], measure=True)
    assert '["computed by","' in made.html
    assert "ms per image" in made.html
    assert "Times are medians of 1 run with one image on " in made.html


def test_times_of_a_busy_machine_are_doubted() -> None:
    assert "Other processes used 72% of the processors" in Measured((), "a CPU", 0.72).described
    for share in (0.05, None):
        assert "processes" not in Measured((), "a CPU", share).described


def test_a_net_with_symbols_is_not_measured() -> None:
    net = netspec.loads("net open(n)\ninput image 8x8x1\na: conv 3x3, n\nb: fc 10\n")
    with pytest.raises(netspec.SpecError, match="symbols without a value: n"):
        netspec.report(net, sections=["costs"], measure=True)
