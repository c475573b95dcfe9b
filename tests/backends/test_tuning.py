from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import netspec
from netspec.backends.cpu import CpuBackend
from netspec.backends.cpu.conv import OneDnnConv
from netspec.backends.cpu.plain import Plain
from netspec.backends.tuning import Tuning, described
from netspec.files.cache import digest
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel, Shape
from netspec.lowering.choices import choose
from netspec.lowering.implementation import Problem
from tests.helpers import load_rows

PROBLEM = Problem(Conv(kernel=Kernel(3, 3), count=4), (Shape((8, 8, 3)),), torch.float32, 2)
IMPLEMENTATIONS = (OneDnnConv(), Plain())


class Measuring:
    """Gives the same times each time, and counts how often it is asked."""

    def __init__(self, **times: float | str) -> None:
        self.times, self.count = times or {"onednn": 1e-3, "torch": 2e-3}, 0

    def __call__(self) -> dict[str, float | str]:
        self.count += 1
        return dict(self.times)


def test_what_was_measured_is_not_measured_again(measurements: Path) -> None:
    measure = Measuring()
    for _ in range(3):
        tuning = Tuning("cpu", {"torch": "1"})
        assert tuning.times(PROBLEM, IMPLEMENTATIONS, measure) == {"onednn": 1e-3, "torch": 2e-3}
    assert measure.count == 1
    (file,) = measurements.iterdir()
    stored = json.loads(file.read_text())
    assert stored["made_with"] == {"torch": "1"}
    assert list(stored["works"]) == [described(PROBLEM)]


def test_other_problems_are_measured_for_themselves() -> None:
    measure = Measuring()
    for batch in (1, 2, 1):
        problem = Problem(PROBLEM.op, PROBLEM.inputs, PROBLEM.dtype, batch)
        Tuning("cpu", {"torch": "1"}).times(problem, IMPLEMENTATIONS, measure)
    assert measure.count == 2


def test_times_of_another_version_are_not_used_which_one_line_says() -> None:
    measure = Measuring()
    Tuning("cpu", {"torch": "1"}).times(PROBLEM, IMPLEMENTATIONS, measure)
    newer = Tuning("cpu", {"torch": "2"})
    with pytest.warns(
        UserWarning, match=r"not used \(1 file in .*netspec\): measuring again"
    ) as lines:
        newer.times(PROBLEM, IMPLEMENTATIONS, measure)
    assert len(lines) == 1
    assert measure.count == 2
    # filterwarnings = error: neither a second problem nor another backend says it again
    newer.times(replace(PROBLEM, batch=3), IMPLEMENTATIONS, measure)
    Tuning("cuda", {"torch": "2"}).times(PROBLEM, IMPLEMENTATIONS, measure)


def test_an_implementation_that_was_not_there_is_measured() -> None:
    first, then = Measuring(onednn=1e-3), Measuring()
    tuning = Tuning("cpu", {})
    assert tuning.times(PROBLEM, IMPLEMENTATIONS[:1], first) == {"onednn": 1e-3}
    assert tuning.times(PROBLEM, IMPLEMENTATIONS, then) == then.times
    assert tuning.times(PROBLEM, IMPLEMENTATIONS[:1], first) == {"onednn": 1e-3}
    assert (first.count, then.count) == (1, 1)


def test_one_that_does_not_run_is_not_tried_again() -> None:
    outcomes: dict[str, float | str] = {"onednn": "RuntimeError: no engine", "torch": 2e-3}
    measure = Measuring(**outcomes)
    for _ in range(2):
        assert Tuning("cpu", {}).times(PROBLEM, IMPLEMENTATIONS, measure) == outcomes
    assert measure.count == 1
    chosen = choose({"a": PROBLEM}, lambda _: IMPLEMENTATIONS, measure=lambda *_: outcomes)
    assert chosen["a"].implementation == "torch"
    assert chosen["a"].candidates == {"onednn": None, "torch": 2e-3}
    assert chosen["a"].failures == {"onednn": "RuntimeError: no engine"}


def test_one_that_lacked_memory_is_tried_again() -> None:
    outcomes: dict[str, float | str] = {"onednn": "OutOfMemoryError: 3 GiB", "torch": 2e-3}
    measure = Measuring(**outcomes)
    for _ in range(2):
        assert Tuning("cpu", {}).times(PROBLEM, IMPLEMENTATIONS, measure) == outcomes
    assert measure.count == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "\xff",
        "[" * 100_000,
        '{"made_with": {}}',
        '{"made_with": {}, "works": {"a": 3}}',
        '{"made_with": {}, "works": {"a": {"torch": true}}}',
        '{"made_with": {}, "works": {"a": {"torch": null}}}',
        '{"made_with": {}, "works": {"a": {"torch": NaN}}}',
        '{"made_with": {}, "works": {"a": {"torch": -1.0}}}',
        '{"made_with": {}, "works": {"a": {"torch": 1e400}}}',
        '{"made_with": {}, "works": {"a": {}, "a": {}}}',
    ],
)
def test_a_file_of_something_else_is_passed_over_and_replaced(content: str) -> None:
    tuning, measure = Tuning("cpu", {}), Measuring()
    tuning.path.parent.mkdir(parents=True)
    tuning.path.write_text(content, encoding="latin-1")
    with pytest.warns(UserWarning, match="stored measurements are not used: .*; measured again"):
        assert tuning.times(PROBLEM, IMPLEMENTATIONS, measure) == measure.times
    assert tuning.times(PROBLEM, IMPLEMENTATIONS, measure) == measure.times
    assert measure.count == 1


def test_a_folder_that_cannot_be_written_only_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    tuning, measure = Tuning("cpu", {}), Measuring()
    with pytest.warns(UserWarning, match="measurements cannot be stored"):
        assert tuning.times(PROBLEM, IMPLEMENTATIONS, measure) == measure.times


def test_a_digest_is_of_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "drawn"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = digest("drawn")
    assert digest("drawn") == first
    (package / "a.py").write_text("x = 1")
    second = digest("drawn")
    (package / "a.py").write_text("x = 2")
    assert len({first, second, digest("drawn")}) == 3


def test_the_cpu_keeps_what_it_measures(measurements: Path) -> None:
    net = load_rows("a: conv 3x3, 4 | relu")
    first = netspec.compile(net, measured=True)
    second = netspec.compile(net, measured=True)
    choice = first.lowered.choices["a.relu"]
    assert choice.origin == "measured"
    assert second.lowered.choices["a.relu"] == choice
    assert [file.suffix for file in measurements.iterdir()] == [".json"]
    assert isinstance(first.lowered.backend, CpuBackend)
