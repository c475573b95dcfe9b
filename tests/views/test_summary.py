from __future__ import annotations

import json

from netspec import load
from netspec.views.summary import summary
from tests.helpers import load_rows


def test_rows_and_stages_have_the_documented_keys() -> None:
    data = summary(load("googlenet"))
    row = {
        "label", "ops", "input", "kernel", "output", "parameters", "buffers", "macs", "field",
        "head",
    }  # fmt: skip
    stage = (row - {"label", "ops"}) | {"name", "op"}
    assert all(set(entry) == row for entry in data["rows"])
    assert all(set(entry) == stage for entry in data["stages"])
    json.dumps(data)


def test_a_row_tells_its_own_operators_and_its_stages_those_in_branches() -> None:
    data = summary(load("googlenet"))
    rows = {row["label"]: row for row in data["rows"]}
    stages = {stage["name"]: stage for stage in data["stages"]}
    assert rows["conv2"]["ops"] == ["conv", "relu", "conv", "relu", "lrn"]
    assert rows["3a"]["ops"] == ["concat"]
    assert rows["3a"]["input"] == [28, 28, 192]
    assert stages["3a.b2.conv2"]["kernel"] == "3x3x96/1, 128"
    assert stages["3a.b2.conv2"]["output"] == [28, 28, 128]
    assert stages["3a.concat"]["input"][1] == [28, 28, 128]


def test_rows_and_stages_add_up_to_the_totals() -> None:
    data = summary(load("googlenet"))
    for part in ("rows", "stages"):
        for count in ("parameters", "macs"):
            inside = sum(entry[count] for entry in data[part] if not entry["head"])
            assert inside == data[count]
            assert sum(entry[count] for entry in data[part]) == data["with_heads"][count]


def test_rows_inside_blocks_are_stages_not_rows() -> None:
    net = load_rows("block b = {\n x: conv 1x1, 4\n y: relu\n}\nr: b")
    data = summary(net)
    assert [row["label"] for row in data["rows"]] == ["r"]
    assert data["rows"][0]["ops"] == ["conv", "relu"]
    assert [stage["name"] for stage in data["stages"]] == ["r.x", "r.y.relu"]


def test_buffers_and_heads_are_told() -> None:
    net = load_rows("a: bn eps=1e-5\nhead h from a, weight=1: fc 2")
    data = summary(net)
    assert data["buffers"] == 6
    assert [row["head"] for row in data["rows"]] == [False, "h"]
