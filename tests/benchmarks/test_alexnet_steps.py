from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.alexnet_steps import BATCH, STEPS, main
from benchmarks.results import FOLDER

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_steps_are_timed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--batch", "2", "--steps", "2"], tmp_path)
    (path,) = tmp_path.glob("alexnet_steps-*.json")
    kept = json.loads(path.read_text())
    first, second = kept["steps"]
    assert first["loss"] != second["loss"]
    assert min(first["forward"], first["backward"], first["update"]) > 0
    assert kept["images_per_second"] > 0
    assert kept["peak_gb"] > 3 * 4 * 60_965_224 / 1e9  # weights, gradients and velocities
    assert "images/s" in capsys.readouterr().out


def test_the_loss_of_the_papers_batch_fell() -> None:
    paths = list(FOLDER.glob("alexnet_steps-*.json"))
    assert paths
    for path in paths:
        kept = json.loads(path.read_text())
        losses = [step["loss"] for step in kept["steps"]]
        assert (kept["batch"], len(losses)) == (BATCH, STEPS)
        assert max(losses[-5:]) < min(losses[:5])


def test_the_page_says_what_was_measured() -> None:
    (path,) = FOLDER.glob("alexnet_steps-*.json")
    kept = json.loads(path.read_text())
    page = " ".join((DOCS / "training.md").read_text(encoding="utf-8").split())
    first, last = (kept["steps"][i]["loss"] for i in (0, -1))
    speed = kept["images_per_second"]
    assert f"{speed:.2f} images/s and at most {kept['peak_gb']:.2f} GB of memory" in page
    assert f"falls from {first:.2f} to {last:.2f} in {STEPS} steps" in page
    assert f"one epoch of ImageNet takes {1.28e6 / speed / 3600:.0f} hours" in page
    assert (kept["others"] > 0.5) == ("other programs used more than half" in page)
