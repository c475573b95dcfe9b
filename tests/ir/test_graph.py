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


def graph() -> Graph:
    held = Graph()
    held.add(Stage("image", Input(size=Shape((2, 2, 1))), HERE))
    held.add(Stage("a", Relu(), HERE), ("image",))
    held.add(Stage("sum", Add(), HERE), ("a", "image", "a"))
    held.inputs, held.outputs = ["image"], ["sum"]
    return held


def test_operands_keep_their_order_and_repeat() -> None:
    assert graph().operands("sum") == ("a", "image", "a")


def test_stages_come_after_what_they_read() -> None:
    held = graph()
    held.add(Stage("late", Relu(), HERE))
    held.nx.add_edge("late", "a", operand=1)
    held._order = None
    order = [stage.name for stage in held.stages()]
    assert order.index("late") < order.index("a") < order.index("sum")


def test_a_sound_graph_is_verified() -> None:
    graph().verify()


def test_a_missing_operand_is_found() -> None:
    held = graph()
    held.nx.remove_edge("image", "a")
    with pytest.raises(AssertionError, match="a: 0 operands"):
        held.verify()


def test_a_wrong_position_is_found() -> None:
    held = graph()
    held.nx.add_edge("image", "sum", operand=5)
    with pytest.raises(AssertionError, match="sum: operands"):
        held.verify()


def test_a_lost_output_is_found() -> None:
    held = graph()
    held.outputs = ["gone"]
    with pytest.raises(AssertionError, match="gone is not in the graph"):
        held.verify()


def test_a_stale_shape_is_found() -> None:
    held = graph()
    for stage in held.stages():
        stage.shape = Shape((2, 2, 1))
    held.verify()
    held.stage("a").shape = Shape((3, 3, 1))
    with pytest.raises(AssertionError, match="a: stale shape"):
        held.verify()


# ------------------------------------------------------------------------------------ rewriting


def chain() -> Graph:
    """image -> a -> b -> sum(b, a), with a head that ends in c, which reads b."""
    held = Graph()
    held.add(Stage("image", Input(size=Shape((2, 2, 1))), HERE))
    held.add(Stage("a", Relu(), HERE), ("image",))
    held.add(Stage("b", Relu(), HERE), ("a",))
    held.add(Stage("sum", Add(), HERE), ("b", "a"))
    held.add(Stage("c", Relu(), HERE), ("b",))
    held.inputs, held.outputs, held.heads = ["image"], ["sum"], {"h": Head("h", "c", 0.3)}
    return held


def names(held: Graph) -> list[str]:
    return [stage.name for stage in held.stages()]


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
    held = chain()
    held.become("sum", Relu(), ["image"], {"weight": Take("w")})
    assert held.operands("sum") == ("image",)
    assert held.stage("sum").packed == {"weight": Take("w")}
    assert names(held) == ["image", "a", "b", "sum", "c"]  # the head reads them still
    held.heads = {}
    held.become("c", Tanh(), ["image"])
    assert names(held) == ["image", "sum", "c"]
    assert held.stage("c").op == Tanh()
    assert held.stage("c").packed == {}
    held.become("sum", Add(), ["image", "c", "image"])
    assert held.operands("sum") == ("image", "c", "image")
    held.verify()


def test_what_is_read_twice_or_returned_stays() -> None:
    held = chain()
    held.outputs.append("b")
    held.heads = {}
    held.remove("c")
    held.become("sum", Relu(), ["image"])
    assert names(held) == ["image", "a", "b", "sum"]


def test_an_input_stays_though_nothing_reads_it() -> None:
    held = chain()
    held.add(Stage("other", Input(size=Shape((2, 2, 1))), HERE))
    held.inputs.append("other")
    held.become("a", Relu(), ["other"])
    assert "image" in held
    held.verify()


def test_a_bypassed_stage_is_read_nowhere() -> None:
    held = chain()
    held.add(Stage("twice", Add(), HERE), ("b", "a", "b"))
    held.outputs += ["b", "twice"]
    held.heads["g"] = Head("g", "b", 1.0)
    held.bypass("b", "a")
    assert "b" not in held
    assert held.operands("sum") == ("a", "a")
    assert held.operands("twice") == ("a", "a", "a")
    assert held.operands("c") == ("a",)
    assert held.outputs == ["sum", "a", "twice"]
    assert held.heads["g"].output == "a"
    assert held.heads["h"].output == "c"
    assert held.same_value == {"b": "a"}
    held.verify()


def test_a_stage_goes_with_what_was_computed_for_it_alone() -> None:
    held = chain()
    held.heads = {}
    held.remove("c")
    assert names(held) == ["image", "a", "b", "sum"]
    held.become("a", Relu(), ["image"])
    held.outputs = ["a"]
    held.remove("sum")
    assert names(held) == ["image", "a"]


def test_who_is_read_by_one() -> None:
    held = chain()
    assert not held.is_read_by_one("a")  # by b and sum
    assert not held.is_read_by_one("b")  # by sum and c
    assert not held.is_read_by_one("sum")
    held.heads = {}
    held.remove("c")
    assert held.is_read_by_one("b")
    held.outputs.append("b")
    assert not held.is_read_by_one("b")
    held.outputs.pop()
    held.heads = {"h": Head("h", "b", 1.0)}
    assert not held.is_read_by_one("b")
    held.become("sum", Add(), ["b", "b"])
    held.heads = {}
    assert not held.is_read_by_one("b")  # twice


def test_a_new_stage_may_stand_before_another() -> None:
    held = chain()
    held.add(Stage("new", Tanh(), HERE), ("image",), before="a")
    held.add(Stage("newer", Tanh(), HERE), ("image",), before="new")
    held.add(Stage("last", Tanh(), HERE), ("image",))
    assert names(held) == ["image", "newer", "new", "a", "b", "sum", "c", "last"]
    assert names(held.copy()) == names(held)


def test_the_order_follows_a_rewrite() -> None:
    held = chain()
    assert names(held) == ["image", "a", "b", "sum", "c"]
    held.add(Stage("new", Tanh(), HERE), ("a",))
    assert names(held) == ["image", "a", "b", "sum", "c", "new"]
    held.become("b", Relu(), ["new"])
    assert names(held) == ["image", "a", "new", "b", "sum", "c"]
