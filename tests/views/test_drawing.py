from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from torch import Tensor

from netspec import Net, loads
from netspec.ir.operator import Operator
from netspec.ir.ops.identity import Identity
from netspec.ir.shapes import Shape
from netspec.views.boxes import Box, Contents, Edge, End, Fork, Size
from netspec.views.drawing import digraph, grouped
from netspec.views.operator_text import short_text
from tests.helpers import load_rows, loaded

RESIDUAL = """
block keep(n) = add {
    conv 3x3, n, pad=1 | bn eps=1e-5 | relu | conv 3x3, n, pad=1
    identity
} | relu
block stage(n) = {
    a: conv 1x1, 4 | relu | conv 1x1, n
    b: conv 3x3, n, pad=1
    sum from b, input: add | relu
}
first: conv 1x1, 16
r1..r2: keep 16
s: stage 16
x: bn eps=1e-5 | relu | conv 1x1, 8
y from s: conv 1x1/2, 8 | concat { identity; identity | relu; concat { conv 1x1, 2; relu } }
output x, y
head aux from r1: flatten
"""


def boxes(net: Net) -> dict[str, list[str]]:
    """The lines of each box, by its first stage."""
    items = Contents(net.graph).items.values()
    return {
        box.name: [short_text(stage.op) for stage in box.stages]
        for box in items
        if isinstance(box, Box)
    }


def seen(net: Net) -> list[Edge]:
    return [edge for edge in Contents(net.graph).edges if edge.is_seen]


# ----------------------------------------------------------------------------------------- boxes


def test_small_stages_are_lines_in_the_box_before_them() -> None:
    shown = boxes(loaded("googlenet"))
    assert shown["conv1"] == ["conv 7x7/2, 64", "relu"]
    assert shown["pool1.maxpool"] == ["maxpool 3x3/2", "lrn 5"]
    assert shown["3a.b2.conv2"] == ["conv 3x3/1, 128", "relu"]
    assert shown["out.gap"] == ["gap", "dropout 0.4"]
    assert shown["out"] == ["fc 1000", "softmax"]
    assert "3a.b2.relu1" not in shown


def test_a_box_ends_with_its_row_and_where_its_output_goes_two_ways() -> None:
    shown = boxes(load_rows("a: conv 1x1, 4\nb: relu\nc: conv 1x1, 4 | concat { relu; tanh }"))
    assert shown["a"] == ["conv 1x1/1, 4"]
    assert shown["b.relu"] == ["relu"]
    assert shown["c"] == ["conv 1x1/1, 4"]
    assert shown["c.b1.relu"] == ["relu"]


def test_an_operator_that_changes_the_size_is_a_box() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Halves(Operator):
        name = "halves"

        def shape(self, inputs: Sequence[Shape]) -> Shape:
            return Shape((inputs[0].elements // 2,))

        def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
            raise NotImplementedError

    net = load_rows("a: relu | tanh | flatten")
    assert boxes(net)["a.relu"] == ["relu", "tanh", "flatten"]
    net.graph.stage("a.tanh").op = Halves()
    net.graph.stage("a.tanh").shape = net.graph.stage("a.flatten").shape = Shape((96,))
    assert boxes(net)["a.tanh"] == ["halves", "flatten"]


def test_groups_are_told() -> None:
    assert boxes(loaded("alexnet"))["C4"][0] == "conv 3x3/1, 384, groups=2"


@pytest.mark.parametrize("net", [loaded("googlenet"), loaded("alexnet"), load_rows(RESIDUAL)])
def test_every_stage_is_shown_once_and_every_edge_is_there(net: Net) -> None:
    graph, contents = net.graph, Contents(net.graph)
    shown = [item for item in contents.items.values() if isinstance(item, Box)]
    box_of = {stage.name: box.name for box in shown for stage in box.stages}
    assert len(box_of) == sum(len(box.stages) for box in shown)
    for stage in graph.stages():
        if stage.name not in box_of:  # an identity in a branch is as if it were not there
            assert isinstance(stage.op, Identity)
            box_of[stage.name] = box_of[graph.operands(stage.name)[0]]
    wanted: Counter[tuple[str, str]] = Counter()
    for box in shown:
        wanted.update((box_of[name], box.name) for name in graph.operands(box.name))

    into: dict[str, list[str]] = {}
    for edge in contents.edges:
        if edge.is_seen:
            into.setdefault(edge.head, []).append(edge.tail)

    def origin(name: str) -> str:
        while isinstance(contents.items[name], Fork | Size):
            (name,) = into[name]
        return name

    drawn = Counter((origin(tail), box.name) for box in shown for tail in into.get(box.name, []))
    assert drawn == wanted
    ends = [item for item in contents.items.values() if isinstance(item, End)]
    outputs = [*graph.outputs, *(head.output for head in graph.heads.values())]
    assert [into[end.name] for end in ends] == [[box_of[name]] for name in outputs]


# ---------------------------------------------------------------------------------------- clusters


def test_rows_of_several_boxes_and_heads_have_clusters() -> None:
    clusters = Contents(loaded("googlenet").graph).clusters
    assert {"conv2", "3a", "5b", "out", "aux1", "aux2"} <= set(clusters)
    assert not {"conv1", "pool1", "pool2"} & set(clusters)
    assert clusters["3a"].words == ("inception",)


def test_rows_inside_a_block_stand_in_the_cluster_of_their_row() -> None:
    contents = Contents(load_rows(RESIDUAL).graph)
    assert (contents.clusters["s.a"].parent, contents.clusters["s.a"].label) == ("s", "a")
    assert contents.clusters["s"].parent == ""
    inner = contents.items["s.b"]
    assert isinstance(inner, Box)
    assert (inner.cluster, inner.label) == ("s", "b")
    assert contents.clusters["aux"].parent == ""  # a head of one box has a cluster too


def test_clusters_and_boxes_are_named_after_their_rows() -> None:
    source = digraph(loaded("googlenet")).source
    assert "<B>3a</B>&#160; " in source
    assert ">inception</FONT>" in source
    assert "<B>pool2</B>" in source
    assert ">head, weight 0.3</FONT>" in source
    assert source.count("dashed") == 2


def test_an_edge_into_a_cluster_parts_inside() -> None:
    edges = seen(loaded("googlenet"))
    (entry,) = [edge for edge in edges if edge.head == "3b from 3a.concat"]
    assert entry.size == "28x28x256"
    parted = [edge for edge in edges if edge.tail == entry.head]
    assert [edge.head for edge in parted] == [
        "3b.b1",
        "3b.b2.conv1",
        "3b.b3.conv1",
        "3b.b4.maxpool",
    ]
    assert not any(edge.size for edge in parted)


def test_an_edge_into_a_cluster_in_a_cluster_parts_in_the_outer_one() -> None:
    contents = Contents(load_rows(RESIDUAL).graph)
    (fork,) = [i for i in contents.items.values() if isinstance(i, Fork) and i.cluster == "s"]
    assert {e.head for e in contents.edges if e.tail == fork.name} == {"s.a.conv1", "s.sum.add"}


# ----------------------------------------------------------------------------------------- sizes


def test_sizes_are_told_between_rows_and_where_they_change() -> None:
    sizes = {(edge.tail, edge.head): edge.size for edge in seen(loaded("alexnet"))}
    assert sizes["C1", "S1.maxpool"] == "55x55x96"
    assert sizes["C3", "C4"] == sizes["C4", "C5"] == "13x13x384"  # between rows, though the same
    assert sizes["image", "C1"] == ""  # the input itself tells it
    sizes = {(edge.tail, edge.head): edge.size for edge in seen(loaded("googlenet"))}
    assert sizes["3a.b2.conv1", "3a.b2.conv2"] == "28x28x96"
    assert sizes["3a.b4.maxpool", "3a.b4"] == ""  # as large as what goes in


def test_what_is_joined_has_its_size_in_the_cluster() -> None:
    items = Contents(loaded("googlenet").graph).items.values()
    sizes = [str(item.shape) for item in items if isinstance(item, Size) and item.cluster == "3a"]
    assert sizes == ["28x28x64", "28x28x128", "28x28x32", "28x28x32"]


def test_inputs_and_outputs_tell_their_sizes() -> None:
    source = digraph(load_rows(RESIDUAL)).source
    for name, size in (("image", "8x8x3"), ("x", "8x8x8"), ("y", "4x4x26"), ("output", "1024")):
        assert f"<B>{name}</B></TD></TR><TR><TD>{size}</TD>" in source


# ----------------------------------------------------------------------------------------- title


def test_the_title_has_the_totals() -> None:
    source = digraph(loaded("googlenet")).source
    assert "6,998,552 parameters (and 6,379,728 in heads)" in source
    assert "1,582,671,872 multiply-accumulates per image" in source
    assert "in heads" not in digraph(loaded("alexnet")).source


def test_titles_are_text() -> None:
    title = r"a <b>bold</b> & &amp; \N \\ 'q' {x|y} <"
    net = loads(f'net a "{title}\u202e"\ninput image 8x8x3\na: fc 2')
    shown = (
        r"a &lt;b&gt;bold&lt;/b&gt; &amp; &amp;amp; \\N \\\\ &#x27;q&#x27; {x|y} &lt;" + "\u00b7"
    )
    assert f"<TD>{shown}</TD>" in digraph(net).source


def test_counts_that_are_no_numbers_are_shown_as_they_are() -> None:
    assert grouped(6998552) == "6,998,552"
    assert grouped("9*H*W") == "9*H*W"


def test_the_same_net_gives_the_same_text() -> None:
    assert digraph(loaded("googlenet")).source == digraph(loaded("googlenet")).source
