from __future__ import annotations

import json
from typing import Any

import netspec
from netspec.net import Net
from netspec.reporting.layout import laid_out
from netspec.reporting.measuring import Measured, Step
from netspec.reporting.nodes import data_of
from tests.reporting.test_html import Texts

HOSTILE = """net hostile "<script>alert(1)</script>"
input image 16x16x3
"<b>A&b</b>": conv 3x3, 4 | relu
m: concat {
    conv 1x1, 4
    conv 1x1, 8 | relu
}
z: fc 10 | softmax
"""


def read(net: Net, measured: Measured | None = None) -> Any:
    return json.loads(Texts(data_of(net, measured)).texts[0])


def test_every_node_of_the_drawing_has_data() -> None:
    for net in (*map(netspec.load, ("googlenet", "lenet5", "alexnet")), netspec.loads(HOSTILE)):
        nodes = read(net)["nodes"]
        drawing = laid_out(net)
        named = {
            Texts(group.partition("</title>")[0]).texts[-1]
            for kind in ("node", "cluster")
            for group in drawing.split(f'class="{kind}">')[1:]
        }
        assert nodes.keys() <= named
        without = named - nodes.keys()
        assert all(" from " in one for one in without), without  # forks and sizes of joins


def test_rows_lead_to_the_rows_inside_them() -> None:
    data = read(netspec.load("googlenet"))
    inside = data["rows"]["3a"]["inside"]
    assert inside == [row.label for row in netspec.load("googlenet")["3a"].rows]
    assert all(label in data["rows"] for row in data["rows"].values() for label in row["inside"])
    assert all(label in data["rows"] for node in data["nodes"].values() for label in node["rows"])


def test_the_facts_of_a_node_are_those_of_its_stages() -> None:
    node = read(netspec.load("googlenet"))["nodes"]["cluster 4b"]
    row = netspec.load("googlenet")["4b"]
    facts = dict(node["facts"])
    assert facts["parameters"] == f"{row.parameters:,}"
    assert facts["MACs"] == f"{row.macs:,}"
    assert facts["shape"] == "14x14x512"
    assert "time" not in facts


def test_times_are_those_of_the_steps_and_shared_ones_say_so() -> None:
    net = netspec.load("lenet5")
    first, second, *_ = (s.name for s in net.graph.stages() if net.graph.operands(s.name))
    steps = (Step("onednn", 0.002, (first, second)),)
    facts = dict(read(net, Measured(steps, "a CPU"))["nodes"][first]["facts"])
    assert facts["computed by"] == "onednn"
    assert facts["time"] == f"2.000 ms, shared with {second}"
