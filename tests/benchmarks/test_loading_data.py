from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import loading_data
from benchmarks.loading_data import Photographs, main


def test_each_step_is_measured_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"COUNT": 4, "BATCH": 2, "WORKERS": (0,)}.items():
        monkeypatch.setattr(loading_data, name, value)
    main(["--rounds", "1"], tmp_path)
    (path,) = tmp_path.glob("loading_data-*.json")
    rates = {case["step"]: case["images_per_s"] for case in json.loads(path.read_text())["cases"]}
    assert [*rates] == [
        "decode",
        "prepare",
        "augment",
        "prepare and augment",
        "all",
        "batches, 0 workers",
    ]
    assert min(rates.values()) > 0
    assert "batches, 0 workers" in capsys.readouterr().out


def test_the_photographs_are_real_and_each_another() -> None:
    pixels = [Photographs().example(i).pixels for i in range(4)]
    assert all(p.shape == (256, 256, 3) and p.std() > 20 for p in pixels)
    assert not np.array_equal(pixels[0], pixels[2])
