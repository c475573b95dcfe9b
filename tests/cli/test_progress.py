"""What a run shows while it trains."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
import rich
from rich.console import Console

import netspec
from netspec.cli.progress import Bar

SPEC = """net tiny
input image 8x8x1
F: fc 10 | softmax
train {
    loss cross_entropy
    optimizer sgd lr=0.1
    batch 128
    epochs 2
    prepare resize 8x8 | range low=0, high=1
}
"""


def test_a_row_of_an_epoch_begins_a_line_although_there_is_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.net").write_text(SPEC)
    # As the command sets standard output: click then writes past what rich puts in its place.
    terminal = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="replace")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(rich, "_console", Console(force_terminal=True, width=120))
    netspec.train(tmp_path / "tiny.net", "digits", tmp_path / "run", report=Bar())
    monkeypatch.undo()
    terminal.seek(0)
    shown = terminal.read()
    assert "images/s  waiting" in shown
    rows = list(re.finditer(r" {4}[12] +\d\.\d{4} ", shown))
    assert len(rows) == 2
    for row in rows:
        before = re.sub(r"\x1b\[\?25[hl]", "", shown[: row.start()])  # shows or hides the cursor
        assert before.endswith(("\n", "\x1b[2K"))  # a new line, or one that was cleared
