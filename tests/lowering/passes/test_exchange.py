"""f(x) => f_column(x), f_column(gather(x)): what each column has.

That columns together compute what one process does is shown on real ones, in
tests/training/test_columns.py.
"""

from __future__ import annotations

import pytest

from netspec import Net, load
from netspec.ir.columns import exchanging
from netspec.ir.fused.column_dropout import ColumnDropout
from netspec.ir.fused.exchanges import ForParts, Gather, GatherForParts
from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Graph
from netspec.ir.ops.conv import Conv
from netspec.lowering.passes import exchange, synchronise
from tests.helpers import load_rows

HEADER = "net example\ncolumns 2\ninput image 8x8x4\n"


def column(rows: str, number: int = 0) -> Graph:
    return column_of(load_rows(rows, HEADER), number)


def column_of(net: Net, number: int = 0) -> Graph:
    graph = net.graph.copy()
    exchange.rewrite(graph, number)
    graph.verify()
    return graph


def exchanges(graph: Graph) -> list[tuple[str, str]]:
    kinds = Gather, ForParts
    return [(s.name, s.op.name) for s in graph.stages() if isinstance(s.op, kinds)]


@pytest.mark.parametrize("number", [0, 1])
def test_alexnet_on_either_column(number: int) -> None:
    graph = column_of(load("alexnet"), number)
    assert exchanges(graph) == [
        ("S2.maxpool.gather", "gather_for_parts"),
        ("S5.maxpool.gather", "gather_for_parts"),
        ("F6.dropout.gather", "gather_for_parts"),
        ("F7.dropout.gather", "gather_for_parts"),
        ("F8.gather", "gather"),
    ]
    sizes = {name: str(graph.stage(name).shape) for name in ("C1.lrn", "C3", "C5", "F6", "F8")}
    assert sizes == {
        "C1.lrn": "55x55x48", "C3": "13x13x192", "C5": "13x13x128", "F6": "2048", "F8": "500",
    }  # fmt: skip
    assert {s.op.groups for s in graph.stages() if isinstance(s.op, Conv)} == {1}
    assert [s.op.column for s in graph.stages() if isinstance(s.op, ColumnDropout)] == [number] * 2
    assert str(graph.stage(graph.outputs[0]).shape) == "1000"
    assert graph.columns is None


def test_six_columns_have_a_sixth() -> None:
    rows = HEADER.replace("2", "6") + "a: conv 3x3, 12, pad=1 | relu\nb: conv 1x1, 18, groups=6"
    graph = column_of(load_rows(rows, ""), 5)
    assert [str(graph.stage(n).shape) for n in ("a.relu", "b", "b.gather")] == [
        "8x8x2", "8x8x3", "8x8x18",
    ]  # fmt: skip


def test_one_gather_serves_all_readers() -> None:
    graph = column("a: conv 1x1, 4\nb: concat { conv 1x1, 2; conv 3x3, 2, pad=1 }")
    assert exchanges(graph)[0] == ("a.gather", "gather_for_parts")
    assert len(graph.consumers("a.gather")) == 2


def test_readers_of_which_some_are_whole_share_a_gather_and_not_its_gradient() -> None:
    graph = column("a: conv 1x1, 4\nb: concat { conv 1x1, 2; lrn 3 }")
    assert exchanges(graph) == [
        ("a.gather", "gather"),
        ("a.gather.for_parts", "for_parts"),
        ("b.b1.gather", "gather"),
    ]
    assert graph.consumers("a.gather.for_parts") == ("b.b1",)


def test_a_whole_value_is_sliced_for_grouped_layers() -> None:
    graph = column("a: conv 1x1, 6 | lrn 3\nb: conv 1x1, 2, groups=2", 1)
    assert graph.stage("a.lrn.part").op == Slice(start=3, count=3)
    assert graph.operands("a.lrn.part") == ("a.lrn.for_parts",)
    assert isinstance(graph.stage("a.gather").op, Gather)


def test_images_are_everywhere_and_have_no_gradient() -> None:
    rows = "a: lrn 3 | conv 1x1, 2, groups=2\nb from image: conv 1x1, 2\nc from a, b: add"
    graph = column(rows)
    assert graph.operands("a.lrn.part") == ("a.lrn",)
    assert exchanges(graph) == [("c.add.gather", "gather")]


def test_a_table_of_connections_is_cut_by_its_filters() -> None:
    rows = "a: conv 3x3, 4, connect=t\nconnect t {\nX..X\nXX..\n.XX.\n..X.\n}"
    pairs = []
    for number in (0, 1):
        op = column(rows, number).stage("a").op
        assert isinstance(op, Conv)
        pairs.append(op.pairs)
    assert pairs == [[(0, 0), (0, 1), (1, 1), (1, 2)], [(0, 2), (0, 3), (1, 0)]]


def test_outputs_and_heads_are_whole() -> None:
    graph = column("a: conv 1x1, 4\nhead h from a, weight=0.3: gap | fc 3\nb from a: relu")
    assert str(graph.stage(graph.outputs[0]).shape) == "8x8x4"
    assert str(graph.stage(graph.heads["h"].output).shape) == "3"


def test_1_what_has_no_kernels_to_share_is_computed_by_every_column() -> None:
    graph = column("a: conv 1x1, 4 | lrn 3 | relu | softmax\nb: gap | fc 3")
    assert [e.stages for e in graph.journal if e.refusal == 1] == [("a.lrn",)]


def test_a_net_without_columns_stays_as_it_is() -> None:
    for text in ("a: conv 1x1, 4", "columns 1\na: conv 1x1, 4"):
        graph = load_rows(text).graph.copy()
        assert exchange.rewrite(graph) == 0
        assert str(graph.stage("a").shape) == "8x8x4"


def test_gathers_stand_in_the_rows_that_the_summary_names() -> None:
    net = load("alexnet")
    graph = column_of(net)
    rows = {name: row.label for row in net.graph.rows.values() for name in row.stages}
    readers = [graph.consumers(name)[0] for name, _ in exchanges(graph)]
    assert list(dict.fromkeys(rows[name] for name in readers)) == exchanging(net.graph)


def test_kinds_of_gathers_differ_in_their_gradients_alone() -> None:
    assert issubclass(GatherForParts, Gather)
    assert (Gather.shares_back, GatherForParts.shares_back, ForParts.shares_back) == (0, 1, 2)


def test_every_normalisation_is_synchronised() -> None:
    graph = load_rows("a: conv 1x1, 4 | bn eps=0.1, momentum=0.2\nb: bn eps=0.3").graph.copy()
    assert synchronise.rewrite(graph) == 2
    op = graph.stage("a.bn").op
    assert (op.name, op.eps, op.momentum) == ("bn", 0.1, 0.2)  # type: ignore[attr-defined]
