"""The time that a browser takes for the graph of a report, and what the page says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGE = Path(__file__).parents[2] / "docs" / "report.md"


def test_the_page_has_the_measured_times() -> None:
    result = json.loads(report.RESULTS.read_bytes())
    times = result["median_ms"]
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert (
        f"Chromium shows the graph of Inception v4 {times['graphviz']['graph']:.0f} ms after the "
        f"page is opened, and {times['browser']['graph']:.0f} ms after it if the browser lays it "
        f"out, of which {times['browser']['layout']:.0f} ms are the layout"
    ) in text
    assert (
        f"adds {result['bytes']['browser'] / 1e6 - result['bytes']['graphviz'] / 1e6:.1f} MB"
        in text
    )
    assert result["net"] == "inception_v4"


def test_both_layouts_are_measured(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "NET", "lenet5")
    monkeypatch.setattr(report, "ROUNDS", 1)
    result = report.measured(browser)
    times = result["median_ms"]
    assert times["graphviz"]["layout"] == 0
    assert 0 < times["browser"]["layout"] < times["browser"]["graph"]
    assert result["bytes"]["graphviz"] < 200_000
    assert result["bytes"]["browser"] > 1_300_000
    assert result["versions"]["viz.js"] == "3.31.0"
