from __future__ import annotations

import pytest

from netspec.graph import Graph, Input, Stage
from netspec.language.source import Source, Span
from netspec.ops.add import Add
from netspec.ops.relu import Relu
from netspec.shapes import Shape

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
