"""The journal: lines are there at once, and a case that ended its process is not tried first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.gpu.journal import FOLDER, STAGE, Journal, Log


def test_lines_of_many_processes_are_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.add("result", "a", case=n, text="x" * 5000), range(80)))
    assert sorted(line["case"] for line in journal.lines("a", "result")) == list(range(80))


def test_a_line_that_was_cut_off_is_skipped(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("result", "a", case="1")
    with journal.path.open("ab") as file:
        file.write(b'{"kind": "result", "sta')
    assert [line["case"] for line in journal.lines()] == ["1"]
    journal.add("result", "a", case="2")  # by the next call
    assert [line["case"] for line in journal.lines()] == ["1", "2"]


def test_a_case_without_a_result_is_tried_last_and_only_twice(tmp_path: Path) -> None:
    log = Log(Journal(tmp_path), "smoke")
    cases = log.cases(["deadly", "b", "c"])
    assert next(cases) == "deadly"
    cases.close()  # the process is gone
    for case in (again := log.cases(["deadly", "b", "c"])):
        if case == "deadly":
            break
        log.result(case, off=0.5)
    again.close()
    assert [line["case"] for line in log.journal.lines("smoke", "started")] == [
        "deadly", "b", "c", "deadly",
    ]  # fmt: skip
    assert log.journal.lines("smoke", "result")[-1]["case"] == "c"
    assert list(log.cases(["deadly", "b", "c"])) == []
    last = log.journal.lines("smoke", "result")[-1]
    assert (last["case"], "twice" in last["error"]) == ("deadly", True)
    assert list(log.cases(["deadly", "b", "c"])) == []


def test_a_stage_finds_its_journal_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv(STAGE, "floors")
    Log.of_environment().result("rates", copy=1)
    (line,) = Journal(tmp_path).lines("floors")
    assert (line["kind"], line["copy"]) == ("result", 1)
