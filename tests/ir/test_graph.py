from __future__ import annotations

import pytest

from netspec.ir.graph import Entry, Graph, Head, Input, Stage
from netspec.ir.ops.add import Add
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.tanh import Tanh
from netspec.ir.packing import Take
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.source import Source, Span
from tests.helpers import load_rows

HERE = Span(Source("x", "x"), 0, 1)


def small_graph() -> Graph:
    graph = Graph()
    graph.add(Stage("image", Input(size=Shape((2, 2, 1))), HERE))
    graph.add(Stage("a", Relu(), HERE), ("image",))
    graph.add(Stage("sum", Add(), HERE), ("a", "image", "a"))
    graph.inputs, graph.outputs = ["image"], ["sum"]
    return graph


def test_operands_keep_their_order_and_repeat() -> None:
    assert small_graph().operands("sum") == ("a", "image", "a")


def test_stages_come_after_what_they_read() -> None:
    graph = small_graph()
    graph.add(Stage("late", Relu(), HERE))
    graph.nx.add_edge("late", "a", operand=1)
    graph._order = None
    order = [stage.name for stage in graph.stages()]
    assert order.index("late") < order.index("a") < order.index("sum")


def test_a_sound_graph_is_verified() -> None:
    small_graph().verify()


def test_a_missing_operand_is_found() -> None:
    graph = small_graph()
    graph.nx.remove_edge("image", "a")
    with pytest.raises(AssertionError, match="a: 0 operands"):
        graph.verify()


def test_a_wrong_position_is_found() -> None:
    graph = small_graph()
    graph.nx.add_edge("image", "sum", operand=5)
    with pytest.raises(AssertionError, match="sum: operands"):
        graph.verify()


def test_a_lost_output_is_found() -> None:
    graph = small_graph()
    graph.outputs = ["gone"]
    with pytest.raises(AssertionError, match="gone is not in the graph"):
        graph.verify()


def test_a_stale_shape_is_found() -> None:
    graph = small_graph()
    for stage in graph.stages():
        stage.shape = Shape((2, 2, 1))
    graph.verify()
    graph.stage("a").shape = Shape((3, 3, 1))
    with pytest.raises(AssertionError, match="a: stale shape"):
        graph.verify()


# ------------------------------------------------------------------------------------ rewriting


def chain() -> Graph:
    """image -> a -> b -> sum(b, a), with a head that ends in c, which reads b."""
    graph = Graph()
    graph.add(Stage("image", Input(size=Shape((2, 2, 1))), HERE))
    graph.add(Stage("a", Relu(), HERE), ("image",))
    graph.add(Stage("b", Relu(), HERE), ("a",))
    graph.add(Stage("sum", Add(), HERE), ("b", "a"))
    graph.add(Stage("c", Relu(), HERE), ("b",))
    graph.inputs, graph.outputs, graph.heads = ["image"], ["sum"], {"h": Head("h", "c", 0.3)}
    return graph


def names(graph: Graph) -> list[str]:
    return [stage.name for stage in graph.stages()]


def test_a_copy_is_apart() -> None:
    net = load_rows("a: conv 1x1, 4 | relu\nhead h from a: fc 3\nb: add { identity; relu }")
    plain = net.graph
    before = names(plain), plain.outputs[:], dict(plain.heads), plain.stage("a").op
    copied = plain.copy()
    assert (names(copied), copied.outputs, copied.heads, copied.stage("a").op) == before
    assert [copied.operands(n) for n in before[0]] == [plain.operands(n) for n in before[0]]
    assert (copied.rows, copied.claims) == ({}, [])
    copied.become("a", Conv(kernel=Kernel(1, 1), count=4), ["image"], {"weight": Take("w")})
    copied.heads.clear()
    copied.journal.append(Entry("test", ("a",)))
    copied.bypass("b.b1.identity", "a.relu")
    copied.outputs.append("image")
    assert (names(plain), plain.outputs, plain.heads, plain.stage("a").op) == before
    assert (plain.stage("a").packed, plain.same_value, plain.journal) == ({}, {}, [])
    assert copied.copy().same_value == {"b.b1.identity": "a.relu"}
    assert copied.copy().journal == [Entry("test", ("a",))]


def test_a_stage_becomes_another_and_what_it_read_goes() -> None:
    graph = chain()
    graph.become("sum", Relu(), ["image"], {"weight": Take("w")})
    assert graph.operands("sum") == ("image",)
    assert graph.stage("sum").packed == {"weight": Take("w")}
    assert names(graph) == ["image", "a", "b", "sum", "c"]  # the head reads them still
    graph.heads = {}
    graph.become("c", Tanh(), ["image"])
    assert names(graph) == ["image", "sum", "c"]
    assert graph.stage("c").op == Tanh()
    assert graph.stage("c").packed == {}
    graph.become("sum", Add(), ["image", "c", "image"])
    assert graph.operands("sum") == ("image", "c", "image")
    graph.verify()


def test_what_is_read_twice_or_returned_stays() -> None:
    graph = chain()
    graph.outputs.append("b")
    graph.heads = {}
    graph.remove("c")
    graph.become("sum", Relu(), ["image"])
    assert names(graph) == ["image", "a", "b", "sum"]


def test_an_input_stays_though_nothing_reads_it() -> None:
    graph = chain()
    graph.add(Stage("other", Input(size=Shape((2, 2, 1))), HERE))
    graph.inputs.append("other")
    graph.become("a", Relu(), ["other"])
    assert "image" in graph
    graph.verify()


def test_a_bypassed_stage_is_read_nowhere() -> None:
    graph = chain()
    graph.add(Stage("twice", Add(), HERE), ("b", "a", "b"))
    graph.outputs += ["b", "twice"]
    graph.heads["g"] = Head("g", "b", 1.0)
    graph.bypass("b", "a")
    assert "b" not in graph
    assert graph.operands("sum") == ("a", "a")
    assert graph.operands("twice") == ("a", "a", "a")
    assert graph.operands("c") == ("a",)
    assert graph.outputs == ["sum", "a", "twice"]
    assert graph.heads["g"].output == "a"
    assert graph.heads["h"].output == "c"
    assert graph.same_value == {"b": "a"}
    graph.verify()


def test_a_stage_goes_with_what_was_computed_for_it_alone() -> None:
    graph = chain()
    graph.heads = {}
    graph.remove("c")
    assert names(graph) == ["image", "a", "b", "sum"]
    graph.become("a", Relu(), ["image"])
    graph.outputs = ["a"]
    graph.remove("sum")
    assert names(graph) == ["image", "a"]


def test_who_is_read_by_one() -> None:
    graph = chain()
    assert not graph.is_read_by_one("a")  # by b and sum
    assert not graph.is_read_by_one("b")  # by sum and c
    assert not graph.is_read_by_one("sum")
    graph.heads = {}
    graph.remove("c")
    assert graph.is_read_by_one("b")
    graph.outputs.append("b")
    assert not graph.is_read_by_one("b")
    graph.outputs.pop()
    graph.heads = {"h": Head("h", "b", 1.0)}
    assert not graph.is_read_by_one("b")
    graph.become("sum", Add(), ["b", "b"])
    graph.heads = {}
    assert not graph.is_read_by_one("b")  # twice


def test_a_new_stage_may_stand_before_another() -> None:
    graph = chain()
    graph.add(Stage("new", Tanh(), HERE), ("image",), before="a")
    graph.add(Stage("newer", Tanh(), HERE), ("image",), before="new")
    graph.add(Stage("last", Tanh(), HERE), ("image",))
    assert names(graph) == ["image", "newer", "new", "a", "b", "sum", "c", "last"]
    assert names(graph.copy()) == names(graph)


def test_the_order_follows_a_rewrite() -> None:
    graph = chain()
    assert names(graph) == ["image", "a", "b", "sum", "c"]
    graph.add(Stage("new", Tanh(), HERE), ("a",))
    assert names(graph) == ["image", "a", "b", "sum", "c", "new"]
    graph.become("b", Relu(), ["new"])
    assert names(graph) == ["image", "a", "new", "b", "sum", "c"]
