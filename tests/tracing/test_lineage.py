"""What became of stages, by the journal."""

from __future__ import annotations

from netspec import Net
from netspec.lowering.passes import optimise
from netspec.tracing.lineage import Lineage
from tests.helpers import load_rows

ROWS = """
a: concat { conv 1x1, 4 | relu; conv 1x1, 2 | relu;
  avgpool 3x3/1, pad=1, count_pad=on | conv 1x1, 1 | relu }
b: lrn 3
c: maxpool 2x2/2
d: dropout 0.5
out: fc 5 | softmax
head extra from a, weight=0.5: gap | fc 5 | softmax
"""


def lineage(net: Net) -> Lineage:
    return Lineage(net.graph, optimise(net.graph).graph)


def rules(net: Net, *stages: str) -> list[str]:
    return [entry.rule for entry in lineage(net).entries(stages)]


def test_siblings_pools_and_fused_stages_are_made_of_what_went_into_them() -> None:
    origins = lineage(load_rows(ROWS))
    parts = {"a.b1", "a.b1.relu", "a.b2", "a.b2.relu"}
    assert origins.parts_of("a.b1.relu+a.b2.relu") == parts
    assert origins.parts_of("a.b3.relu") == {"a.b3.avgpool", "a.b3", "a.b3.relu"}
    assert origins.parts_of("c.maxpool") == {"b.lrn", "c.maxpool"}
    assert origins.in_order({"c.maxpool", "a.b1", "b.lrn"}) == ("a.b1", "b.lrn", "c.maxpool")
    assert origins.parts_of("nothing") == frozenset()


def test_what_is_dropped_goes_into_nothing() -> None:
    net = load_rows(ROWS)
    names = [stage.name for stage in optimise(net.graph).graph.stages()]
    origins = lineage(net)
    assert "c.maxpool" in names
    assert not any("d.dropout" in origins.parts_of(name) for name in names)


def test_entries_touch_what_went_into_their_stages() -> None:
    net = load_rows(ROWS)
    assert rules(net, "a.b3.avgpool") == [
        "commute_avgpool",
        "commute_avgpool",
        "fuse_relu",
        "merge_siblings",
    ]
    assert rules(net, "b.lrn") == ["fuse_lrn_maxpool"]
    assert rules(net, "d.dropout") == ["drop_training"]
    assert rules(net, "out") == []


def test_a_head_goes_with_all_its_stages() -> None:
    net = load_rows(ROWS)
    for name in net.graph.rows["extra"].stages:
        assert rules(net, name)[0] == "drop_training"
    assert "drop_training" not in rules(net, "a.b1")


def test_an_entry_comes_once() -> None:
    net = load_rows("a: conv 3x3, 4 | relu\nout: fc 2")
    graph = optimise(net.graph).graph
    graph.journal *= 2
    assert len(list(Lineage(net.graph, graph).entries(["a"]))) == 1
