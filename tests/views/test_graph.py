from __future__ import annotations

import shutil
import subprocess

import pytest

from netspec import load
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Graph
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Kernel
from netspec.lowering.passes import TRAINING, optimise
from netspec.views.graph import after_pass, as_dot, as_text
from netspec.views.operator_text import operator_text
from tests.helpers import load_rows

ROWS = """
a: concat { conv 3x3, 4, pad=1 | relu; conv 3x3, 2, pad=1 | relu }
b: maxpool 2x2/2 | fc 10, bias=off
head h from a, weight=0.3: fc 5
"""


def merged() -> Graph:
    return optimise(load_rows(ROWS).graph, TRAINING).graph


def test_a_line_a_stage() -> None:
    assert as_text(merged()).splitlines() == [
        "stage                 operator                  reads                  output",
        "─" * 77,
        "image                 input                                            8x8x3",
        "a.b1.relu+a.b2.relu   conv_relu 3x3, 6, pad=1   image                  8x8x6",
        "a.b1.relu             slice start=0, count=4    a.b1.relu+a.b2.relu    8x8x4",
        "a.b2.relu             slice start=4, count=2    a.b1.relu+a.b2.relu    8x8x2",
        "a.concat              concat                    a.b1.relu, a.b2.relu   8x8x6",
        "b.maxpool             maxpool 2x2/2             a.concat               4x4x6",
        "b                     fc 10, bias=off           b.maxpool              10",
        "h                     fc 5                      a.concat               5",
        "",
        "output: b",
        "head h: h, weight 0.3",
    ]


def test_what_a_pass_did_stands_above() -> None:
    lines = after_pass("merge_siblings", 1, merged()).splitlines()
    assert lines[0] == "after merge_siblings: 1 rewrite, 8 stages"
    assert lines[2:] == as_text(merged()).splitlines()
    assert after_pass("x", 0, merged()).startswith("after x: 0 rewrites, ")


@pytest.mark.parametrize(
    "rows",
    [
        "conv 3x3/2, 4, pad=(0, 1, 2, 0), round=ceil",
        "conv 3x3x1/1, 3, pad=1x2, dilation=2, groups=3, bias=off",
        "conv 3x3, 3, stride=2x1, pad=half, dilation=2x1",
        "avgpool 2x2/2, pad=1, count_pad=off",
        "lrn 3, k=1, alpha=0.01, groups=3",
        "bn eps=0.001",
        "dropout 0.5",
        "lcn 3x3, sigma=1.5",
        "subsample 2x2/2, by=sum",
        "softmax",
    ],
)
def test_an_operator_reads_as_in_a_spec(rows: str) -> None:
    graph = load_rows(f"a: {rows}").graph
    stage = graph.stage(graph.outputs[0])
    assert operator_text(stage.op, stage.written) == rows


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("conv 3x3x3/1, 4", "conv 3x3, 4"),
        ("conv 3x3, 4, stride=2, pad=same", "conv 3x3/2, 4, pad=(0, 1, 0, 1)"),
        ("conv 3x3, 4, stride=2x1, pad=half", "conv 3x3, 4, stride=2x1, pad=1"),
        ("avgpool 2x2, stride=2, count_pad=on", "avgpool 2x2/2"),
        ("deconv 4x4, 4, stride=2, pad=1", "deconv 4x4/2, 4, pad=1"),
        ("maxpool 2x1, dilation=2", "maxpool 2x1, dilation=2x1"),
        ("lcn 3x5, sigma=1.5", "lcn 3x5, sigma=1.5"),
    ],
)
def test_an_operator_without_a_text_reads_as_it_is_meant(written: str, meant: str) -> None:
    graph = load_rows(f"a: {written}").graph
    assert operator_text(graph.stage(graph.outputs[0]).op) == meant


def test_tables_and_codes_are_named() -> None:
    graph = load("lenet5_rbf").graph
    conv = graph.stage("C3")
    assert operator_text(conv.op, conv.written) == "conv 5x5x6/1, 16, connect=s2_to_c3"
    assert operator_text(graph.stage("out.rbf").op) == "rbf digits"


def test_what_only_passes_make() -> None:
    lrn, pool = LocalResponseNorm(n=5, k=1.0), MaxPool(kernel=Kernel(3, 3, stride=2))
    assert (
        operator_text(LrnMaxPool(lrn=lrn, pool=pool)) == "lrn_maxpool (lrn 5, k=1 | maxpool 3x3/2)"
    )
    assert operator_text(Slice(start=2, count=3)) == "slice start=2, count=3"


def test_a_picture_has_a_box_a_stage_and_an_arrow_an_operand() -> None:
    graph = load_rows("a: relu\nb from a, a, image: add\noutput b").graph
    dot = as_dot(graph, "twice")
    assert dot.startswith("digraph twice {")
    assert dot.count('"a.relu" -> "b.add"') == 2
    assert dot.count("image -> ") == 2
    assert dot.count("label=<<TABLE") == 3
    assert dot.count(">output<") == 1
    assert dot.count(">head h<") == 0
    assert as_dot(merged(), "net").count(">head h<") == 1


def test_graphviz_takes_the_text() -> None:
    if shutil.which("dot") is None:
        pytest.fail("this test draws: apt install graphviz, or brew install graphviz")
    rows = "a: avgpool 3x3/1 | conv 1x1, 2 | relu\nb from image: conv 1x1, 2\noutput a, b"
    dot = as_dot(optimise(load_rows(rows).graph).graph, "odd names")
    command = ["dot", "-Tplain"]
    done = subprocess.run(command, input=dot, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert sum(line[0] == "node" for line in lines) == 4
    edges = [(line[1], line[2]) for line in lines if line[0] == "edge"]
    assert sorted(edges) == [
        ('"a/product"', '"a.relu"'), ("image", '"a/product"'), ("image", "b")
    ]  # fmt: skip
