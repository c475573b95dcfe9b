"""Engines in processes of their own: they take turns, and one that fails costs only itself."""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import nets
from benchmarks.gpu.cases import NETS
from benchmarks.gpu.engine import compiled, makers, serve
from benchmarks.gpu.journal import FOLDER, Journal, Log
from benchmarks.gpu.nets import Child, timed
from benchmarks.gpu.page import PEERS
from benchmarks.gpu.plan import peers
from benchmarks.gpu.profiles import profile
from benchmarks.gpu.subject import case_of, without_measurements
from benchmarks.gpu.whole import checked, one_by_one
from netspec.backends.cuda.implementation import Target
from netspec.backends.cuda.measure import tuning
from netspec.timing import rates
from netspec.timing.case import Case
from tests.kernels.interpreter import remember_builtins

remember_builtins()

SPEC = """\
net tiny
input image 5x5x3
a: conv 3x3, 4, pad=1 | relu
b: concat { conv 1x1, 2 | relu ; conv 1x1, 3 }
c: fc 5 | softmax
"""

ENGINE = """
import json, sys, time
name = sys.argv[1]
for number, word in enumerate(sys.stdin):
    open(sys.argv[2], "a").write(name + " " + word)
    if name == "dies" and number == 2:
        raise SystemExit(9)
    if name == "hangs":
        time.sleep(600)
    if name == "noisy":
        print("a warning of a library", flush=True)
    answer = {"seconds": 0.25 * (1 + number)} if word.strip() == "turn" else {"compile_s": 1.0}
    print(json.dumps({"error": "no engine"} if name == "fails" else answer), flush=True)
"""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    spec = tmp_path / "tiny.net"
    spec.write_text(SPEC, encoding="utf-8")
    return case_of(str(spec), 3, tmp_path, "float32")


def test_a_case_draws_what_the_bench_draws_on_its_device(case: Case) -> None:
    bench = Case(case.spec, {}, 3, "float32", case.folder, "cuda")
    ours, theirs = case.weights(), bench.weights()
    assert {name: w.shape for name, w in ours.items()} == {n: w.shape for n, w in theirs.items()}
    assert [x.shape for x in case.images] == [x.shape for x in bench.images]
    for name, weight in ours.items():
        assert torch.equal(weight, case.weights()[name])  # the same for every engine
        if name.endswith("bias"):
            assert torch.equal(weight, theirs[name])
        else:  # of 12 to 500 values: a standard deviation is known to a quarter of itself
            assert 0.5 < float(weight.std() / theirs[name].std()) < 2


def test_engines_take_turns_and_one_that_fails_costs_only_itself(tmp_path: Path) -> None:
    words = tmp_path / "words"
    names = ["first", "fails", "dies", "hangs", "noisy"]
    children = {name: Child([sys.executable, "-c", ENGINE, name, str(words)]) for name in names}
    began = time.monotonic()
    try:
        # 5 s to compile, of which one engine keeps half a second for each later one.
        entries = timed(children, began + 11, rounds=3, share=0.5)
    finally:
        for child in children.values():
            child.end()
    assert time.monotonic() - began < 20
    # turns 0 to 3, of which the first does not count: 0.75, 1.0, 1.25 seconds
    times = {"median_ms": 1000.0, "spread_ms": [875.0, 1125.0], "rounds": 3}
    assert entries["first"] == entries["noisy"] == {"compile_s": 1.0} | times
    assert entries["fails"] == {"error": "no engine"}
    assert entries["dies"]["error"] == "its process ended with code 9"
    assert entries["hangs"] == {"error": "no answer to 'compile' in time", "is_late": True}
    said = words.read_text().split("\n")
    assert said[:2] == ["first compile", "fails compile"]  # one after another
    turns = [line.split()[0] for line in said if line.endswith("turn")]
    assert {"first", "dies", "noisy"} == set(turns)
    assert turns.count("first") == turns.count("noisy") == 4


ALL_HANG = "import sys, time; next(sys.stdin); time.sleep(600)"


def test_an_engine_that_hangs_leaves_time_for_the_others(tmp_path: Path) -> None:
    quick = Child([sys.executable, "-c", ENGINE, "quick", str(tmp_path / "words")])
    children = {"hangs": Child([sys.executable, "-c", ALL_HANG]), "quick": quick}
    began = time.monotonic()
    try:
        entries = timed(children, began + 10, rounds=1, share=3)
    finally:
        for child in children.values():
            child.end()
    assert entries["hangs"]["is_late"]
    assert entries["quick"]["rounds"] == 1


@pytest.mark.parametrize(("entries", "code"), [
    ({"a": {"median_ms": 1.0}, "b": {"error": "no engine"}}, 0),
    ({"a": {"median_ms": 1.0}, "b": {"error": "no answer", "is_late": True}}, 1),
    ({"a": {"error": "no engine"}}, 1),
])  # fmt: skip
def test_the_stage_is_tried_again_if_an_engine_was_late(
    entries: dict[str, Any], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setattr("sys.argv", ["nets", "alexnet", "1"])
    monkeypatch.setattr(nets, "timed", lambda children, deadline: entries)
    assert nets.main() == code
    assert {line["engine"] for line in Journal(tmp_path).lines(kind="result")} == entries.keys()


def test_a_plan_does_not_depend_on_what_was_measured_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "measured"))
    without_measurements(tmp_path / "own")
    assert tuning(Target("cpu")).path.is_relative_to(tmp_path / "own")


def test_the_peers_of_stages_are_engines(tmp_path: Path) -> None:
    known = makers(Log(Journal(tmp_path), ""))
    for net in NETS:
        assert set(peers(net)) <= known.keys()
    assert set(PEERS) <= known.keys()


def test_an_engine_answers_words(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("compile\nturn\n"))
    said: list[Any] = []
    serve(case, makers(Log(Journal(tmp_path), "nets"))["eager-channels-last"], said.append)
    first, second = said
    assert first["deviation"] <= first["allowed"]
    assert second["seconds"] > 0
    json.dumps(said)


def test_an_engine_that_disagrees_is_shown_and_timed(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("compile\nturn\n"))
    said: list[Any] = []
    uniform = torch.full((3, 5), 0.2)
    serve(case, lambda case: lambda: uniform, said.append)
    assert said[0]["disagrees"].endswith(" allowed")
    assert said[1]["seconds"] > 0


def test_an_engine_that_raises_says_so(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(case: Case) -> Any:
        raise RuntimeError("unable to find an engine\nand more")

    monkeypatch.setattr("sys.stdin", io.StringIO("compile\n"))
    said: list[Any] = []
    serve(case, refuse, said.append)
    assert said == [{"error": "RuntimeError: unable to find an engine"}]


def test_a_tuned_plan_is_measured_and_kept(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    log = Log(Journal(tmp_path / "out"), "tuned")
    _, figures = compiled(case, makers(log)["netspec-tuned"])
    assert figures["deviation"] <= figures["allowed"]
    lines = log.journal.lines("tuned", "result")
    assert len(lines) == len({line["problem"] for line in lines}) >= 3
    assert all(1 <= len(line["outcomes"]) <= 4 for line in lines)
    (kept,) = (tmp_path / "out").glob("cuda-*.json")
    assert set(json.loads(kept.read_text())["works"]) == {line["problem"] for line in lines}


def test_a_plan_of_the_model_agrees(case: Case, tmp_path: Path) -> None:
    _, figures = compiled(case, makers(Log(Journal(tmp_path), "nets"))["netspec"])
    assert figures["deviation"] <= figures["allowed"]
    assert set(makers(Log(Journal(tmp_path), ""))) >= {"inductor", "inductor-aten"}


def test_steps_have_times_and_floors(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 2**16)
    result = profile(case, rounds=1)
    assert next(step["stage"] for step in result["steps"]) == "a.relu"
    assert all(step["us"] > 0 and step["floor_us"] >= 0 for step in result["steps"])
    # a step that multiplies nothing and fits in the cache has a floor of 0
    assert any(step["floor_us"] > 0 for step in result["steps"])


def test_a_whole_net_is_right_and_does_not_move(case: Case) -> None:
    result = checked(case, replays=2)
    assert result["deviation"] <= result["allowed"]
    assert "wrong" not in result
    assert result["replays"] == 2


def test_a_net_that_moves_is_found(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.gpu import whole

    outputs, count = whole._outputs, iter(range(100))
    # The first run, one of other images, then pairs of other images and the compared ones.
    monkeypatch.setattr(
        whole, "_outputs", lambda *how: (outputs(*how)[0] + 1e-6 * (next(count) == 5),)
    )
    assert checked(case, replays=3)["wrong"] == "1 of 3 replays differ"


def test_a_step_that_reads_too_early_is_found(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads what the run before has left, as a step does that does not wait for another lane."""
    from benchmarks.gpu import whole
    from netspec.backends.cuda.bound import BoundPlan
    from netspec.backends.cuda.lanes import apart

    lowered = whole.lowered

    def with_lanes(*how: Any, **options: Any) -> Any:
        net = lowered(*how, **options)
        return replace(net, plan=apart(net.plan))  # as for a batch whose steps run side by side

    monkeypatch.setattr(whole, "lowered", with_lanes)

    def last_step_first(plan: BoundPlan) -> None:
        *others, last = plan.steps
        for _, calls in (last, *others):
            for call in calls:
                call()

    run = BoundPlan.run
    is_first = iter([True])

    def raced(plan: BoundPlan, *how: Any) -> Any:
        if not next(is_first, False):
            monkeypatch.setattr(BoundPlan, "_launch", last_step_first)
        return run(plan, *how)

    monkeypatch.setattr(BoundPlan, "run", raced)
    assert "2 of 2 replays differ" in checked(case, replays=2)["wrong"]


def test_a_graph_that_differs_from_plain_launches_is_found(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import whole

    monkeypatch.setattr(whole, "one_by_one", lambda *how: (one_by_one(*how)[0] * (1 + 1e-6),))
    assert checked(case, replays=1)["wrong"] == "the graph and plain launches differ"
