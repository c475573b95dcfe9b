"""Tracing: what a row became, which steps are counted to it, and where their outputs lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import pytest
import torch

import netspec
from netspec import DataError, Net
from netspec.lowering.passes import optimise
from netspec.lowering.plan import Ability, plan
from netspec.timing import rates
from netspec.tracing.trace import StageTrace, Trace, summed
from netspec.tracing.tracing import slice_of
from tests.helpers import load_rows

ROWS = """
block stage(n) = {
    p: conv 1x1, n | relu
    q: conv 3x3, n, pad=1
    output q
}
a: concat {
    conv 1x1, 4 | relu
    conv 1x1, 2 | relu
}
b: lrn 3
c: maxpool 2x2/2
two: stage 4
d: dropout 0.5
out: fc 5 | softmax
head extra from a, weight=0.5: gap | fc 5 | softmax
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 1 << 16)


@pytest.fixture(scope="module")
def net() -> Net:
    return load_rows(ROWS)


def trace(net: Net, row: str, **options: object) -> Trace:
    return netspec.trace(net, row, rounds=1, **options)  # type: ignore[arg-type]


def fates(stages: Sequence[StageTrace]) -> dict[str, tuple[int, ...] | str]:
    return {stage.name: stage.steps or stage.becomes for stage in stages}


def test_what_is_fused_shares_a_step_and_a_concatenation_has_its_own(net: Net) -> None:
    traced = trace(net, "a")
    steps = {step.stage: step for step in traced.steps}
    assert set(steps) == {"a.b1.relu", "a.b2.relu", "a.concat"}
    fused = steps["a.b2.relu"]
    assert fused.made_of == ("a.b2", "a.b2.relu")
    assert all(step.is_own and step.row == "a" for step in traced.steps)
    assert fates(traced.stages)["a.b2.relu"] == (fused.number,)
    assert fates(traced.stages)["a.concat"] == (steps["a.concat"].number,)
    assert traced.text == "a: concat {\n    conv 1x1, 4 | relu\n    conv 1x1, 2 | relu\n}"


def test_a_stage_fused_into_another_row_says_where_it_went(net: Net) -> None:
    traced = trace(net, "b")
    (stage,), (step,) = traced.stages, traced.steps
    assert (step.stage, step.row, step.is_own) == ("c.maxpool", "c", False)
    assert (stage.steps, stage.elsewhere) == ((step.number,), ("c",))
    assert traced.own == []
    assert summed(traced.own).seconds == 0
    (rewrite,) = traced.rewrites
    assert rewrite.summary.startswith("maxpool(lrn(x)) => lrn_maxpool(x)")
    assert rewrite.made == ((("b.lrn", "c.maxpool"), ("c.maxpool",)),)
    (other,) = trace(net, "c").steps
    assert other.is_own


def test_rows_add_up_to_the_net(net: Net) -> None:
    rows = [row.label for row in net.graph.rows.values() if not row.is_inner]
    own = [step.number for row in rows for step in trace(net, row).own]
    profile = trace(net, "out").profile
    assert profile is not None
    assert sorted(own) == list(range(len(profile.steps)))


def test_what_runs_only_in_training_is_dropped_and_nothing_is_measured(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "netspec.tracing.tracing.profiled", lambda *_: pytest.fail("it is measured")
    )
    for row in ("d", "extra"):
        traced = trace(net, row)
        assert {stage.becomes for stage in traced.stages} == {"dropped"}
        assert (traced.steps, traced.profile) == ((), None)
        assert traced.rewrites[0].rule == "drop_training"
    assert trace(net, "d").rewrites[0].made == ((("d.dropout",), ("two.q",)),)
    assert trace(net, "extra").rewrites[0].made == ((("extra.softmax",), ()),)


def test_inner_rows_and_stages_are_rows_too(net: Net) -> None:
    inner = trace(net, "two.p")
    assert [stage.name for stage in inner.stages] == ["two.p", "two.p.relu"]
    assert (inner.row, inner.text) == ("two", "    p: conv 1x1, n | relu")
    assert all(step.is_own for step in inner.steps)
    stage = trace(net, "two.p.conv")
    assert [one.name for one in stage.stages] == ["two.p"]
    assert [step.stage for step in stage.own] == ["two.p.relu"]


def test_refusals_come_with_their_sentence_and_alike_ones_together() -> None:
    net = load_rows("a: concat { tanh | relu; sigmoid | relu; lrn 3 | relu }\nb: fc 2")
    refusal, other = trace(net, "a").refusals
    assert (refusal.rule, other.rule) == ("fuse_relu", "fuse_activation")
    assert refusal.reason.startswith("there is no kernel")
    assert refusal.stages == (
        ("a.b1.tanh", "a.b1.relu"),
        ("a.b2.sigmoid", "a.b2.relu"),
        ("a.b3.lrn", "a.b3.relu"),
    )
    assert other.stages == (("image", "a.b1.tanh"), ("image", "a.b2.sigmoid"))


def test_figures_are_those_of_the_batch_and_type(net: Net) -> None:
    one = trace(net, "c")
    many = trace(net, "c", batch=3, dtype=torch.bfloat16)
    assert (many.batch, many.dtype) == (3, torch.bfloat16)
    assert many.steps[0].problem.bytes * 2 == one.steps[0].problem.bytes * 3
    step, profile = many.steps[0], many.profile
    assert profile is not None
    assert step.floor == profile.rates.least(0, step.problem.bytes)  # it multiplies nothing
    assert step.time == profile.steps[step.number]


def test_measured_choices_say_so(net: Net) -> None:
    origins = {step.choice.origin for step in trace(net, "out", measured=True).steps}
    assert "measured" in origins
    assert {step.choice.origin for step in trace(net, "out").steps} == {"preferred"}


def test_a_view_is_no_step() -> None:
    (stage,) = trace(load_rows("a: maxpool 8x8\nb: flatten\nc: softmax"), "b").stages
    assert (stage.op, stage.steps, stage.becomes) == ("flatten", (), "view")


def test_a_part_lies_in_the_whole() -> None:
    net = load_rows("a: concat { conv 1x1, 4; conv 1x1, 2, bias=off }\nb: fc 2")
    graph = optimise(net.graph).graph
    chosen = {stage.name: "way" for stage in graph.stages() if graph.operands(stage.name)}
    can = Ability(into_slices=True)
    memory_plan = plan(graph, chosen, {"a.b1": can, "a.b2": can})
    slots = {slot.stage: i for i, slot in enumerate(memory_plan.slots)}
    part, whole = (slice_of(memory_plan, slots[name]) for name in ("a.b2", "a.concat"))
    assert (part.whole, part.start, part.buffer) == ("a.concat", 4, whole.buffer)
    assert (whole.whole, whole.start, whole.last) == ("", 0, part.last)
    assert slice_of(memory_plan, slots["b"]).last is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("two.qq", "there is no row or stage 'two.qq'; did you mean `two.q`?"),
        ("1", "there is no row or stage '1'; its rows are a, b, c, two, d, out, extra"),
        ("image", "image is an input, which is not computed"),
    ],
)
def test_what_is_no_row_is_told(net: Net, row: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        trace(net, row)
    assert message in str(raised.value)


def test_a_row_without_stages_is_told() -> None:
    net = load_rows("block nothing = { output input }\na: conv 1x1, 2\nb: nothing\nc: fc 2")
    with pytest.raises(
        DataError, match="row b computes nothing, its value is that of a: trace that one"
    ):
        trace(net, "b")


def test_it_prints_itself_and_the_name_stays_a_function(net: Net) -> None:
    assert str(trace(net, "c")).startswith("example c\ncpu, float32, batch 1; ")
    assert callable(netspec.trace)
    assert {field.name for field in fields(Trace)} >= {"stages", "rewrites", "refusals", "steps"}
