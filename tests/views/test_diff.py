from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netspec import Net
from netspec.language.diagnostics import cells_wide
from netspec.views.diff import diff
from netspec.views.diff_table import lines
from tests.helpers import HEADER, load_rows, loaded

LAYERS = [
    "conv 3x3, 4, pad=1 | relu",
    "conv 3x3, 4, pad=half | relu",
    "conv 1x1, 70000",
    "maxpool 3x3/1, pad=1",
    "relu | dropout 0.5 | relu | dropout 0.25 | relu | tanh | sigmoid | lrn 5 | lrn 3",
    "concat { conv 1x1, 2 | relu; maxpool 3x3/1, pad=1 }",
    "concat { conv 1x1, 2 | tanh; maxpool 3x3/1, pad=1 }",
    "add { identity; relu }",
]
LABELS = ["C1", "S1", "C2", "a_label_that_is_much_longer_than_any_column_of_the_table_can_be_wide"]


@st.composite
def nets(draw: st.DrawFn) -> Net:
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=4, unique=True))
    rows = [f"{label}: {draw(st.sampled_from(LAYERS))}" for label in labels]
    if draw(st.booleans()):
        rows.append(f"head aux from {draw(st.sampled_from(labels))}, weight=0.3: gap | fc 5")
    return load_rows("\n".join(rows))


def changes(before: str, after: str, header: str = HEADER) -> dict[str, Any]:
    """What differs in the one row that is not alike."""
    (change,) = [
        pair.changes
        for pair in diff(load_rows(before, header), load_rows(after, header)).rows
        if not pair.is_alike
    ]
    return change


def shown(a: Net, b: Net) -> str:
    return "\n".join(line.text for line in lines(diff(a, b)))


def mirrored(change: Any) -> Any:
    """The changes with ``a`` and ``b`` exchanged, at every depth, stages in any order."""
    if not isinstance(change, dict):
        return change[::-1]
    told = {key: mirrored(value) for key, value in change.items() if key != "stages"}
    stages = [(s["b"], s["a"], mirrored(s["changes"])) for s in change.get("stages", [])]
    return told | {"stages": sorted(stages, key=repr)}


def plain(change: dict[str, Any]) -> Any:
    stages = [(s["a"], s["b"], plain(s["changes"])) for s in change.get("stages", [])]
    told = {key: plain(v) if isinstance(v, dict) else v for key, v in change.items()}
    return told | {"stages": sorted(stages, key=repr)}


# ----------------------------------------------------------------------------------- any two nets


@given(nets())
def test_a_net_does_not_differ_from_itself(net: Net) -> None:
    difference = diff(net, net)
    assert difference.is_empty
    assert all(pair.is_alike for pair in difference.rows)
    assert shown(net, net).splitlines()[-1].startswith("no differences: ")


@given(nets(), nets())
def test_swapping_the_nets_mirrors_the_answer(a: Net, b: Net) -> None:
    one, other = diff(a, b), diff(b, a)
    rows = [(*pair.labels, plain(pair.changes)) for pair in one.rows]
    swapped = [(*pair.labels[::-1], mirrored(pair.changes)) for pair in other.rows]
    assert sorted(rows, key=repr) == sorted(swapped, key=repr)
    assert plain(one.changes) == mirrored(other.changes)
    assert plain(one.totals) == mirrored(other.totals)


@given(nets(), nets())
def test_the_answer_is_empty_only_for_one_and_the_same_net(a: Net, b: Net) -> None:
    def meant(net: Net) -> Any:
        graph = net.graph
        text = net.source.text.replace("pad=half", "pad=1")
        return [(s.name, graph.operands(s.name), s.known_shape) for s in graph.stages()], text

    assert diff(a, b).is_empty == (meant(a) == meant(b))


@given(nets(), nets())
@example(loaded("alexnet"), loaded("googlenet"))
@example(loaded("lenet5"), loaded("googlenet"))
def test_no_line_is_wider_than_a_terminal_and_every_row_is_told(a: Net, b: Net) -> None:
    difference = diff(a, b)
    told = [line.text for line in lines(difference)]
    assert max(map(cells_wide, told)) <= 80
    assert all(line == line.rstrip() for line in told)
    marks = "".join(line[:1] for line in told)
    if not difference.is_empty:
        rows = marks[marks.index("─") + 1 :]
        assert rows.count("-") == sum(pair.b is None for pair in difference.rows)
        assert rows.count("+") == sum(pair.a is None for pair in difference.rows)
    json.dumps(difference.as_json())


# ------------------------------------------------------------------------------------------- data


def test_the_documented_keys_are_there() -> None:
    data = diff(loaded("alexnet"), loaded("googlenet")).as_json()
    assert list(data) == ["a", "b", "changes", "rows", "totals"]
    assert all(list(row) == ["a", "b", "changes"] for row in data["rows"])
    assert data["totals"] == {
        "parameters": [60_965_224, 6_998_552],
        "macs": [724_406_816, 1_582_671_872],
        "with_heads": {
            "parameters": [60_965_224, 13_378_280],
            "macs": [724_406_816, 1_591_044_096],
        },
    }
    assert data["rows"][0] == {
        "a": "C1",
        "b": "conv1",
        "changes": {
            "ops": [["conv", "relu", "lrn"], ["conv", "relu"]],
            "kernel": ["11x11x3/4, 96", "7x7x3/2, 64"],
            "output": [[55, 55, 96], [112, 112, 64]],
            "parameters": [34_944, 9_472],
            "macs": [105_415_200, 118_013_952],
            "stages": [
                {
                    "a": "C1",
                    "b": "conv1",
                    "changes": {"pad": ["0", "3"], "round": ["ceil", "floor"]},
                }
            ],
        },
    }
    assert {"a": "C3", "b": None, "changes": {}} in data["rows"]
    assert {"a": None, "b": "3a", "changes": {}} in data["rows"]


def test_attributes_that_change_no_size_are_told() -> None:
    assert changes("a: relu | dropout 0.5\nb: fc 2", "a: relu | dropout 0.25\nb: fc 2") == {
        "stages": [{"a": "a.dropout", "b": "a.dropout", "changes": {"rate": ["0.5", "0.25"]}}]
    }
    (stage,) = changes("a: lrn 5, alpha=0.00010000001", "a: lrn 5, alpha=0.0001")["stages"]
    assert stage["changes"] == {"alpha": ["0.00010000001", "0.0001"]}
    bias = changes("a: conv 3x3, 2, dilation=1x2", "a: conv 3x3, 2, dilation=1x2, bias=off")
    assert bias["stages"][0]["changes"] == {"bias": ["on", "off"]}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("conv 3x3, 2, pad=1", "conv 3x3x3/1, 2, pad=half"),
        ("conv 3x3, 2, pad=same", "conv 3x3, 2, pad=1, round=ceil"),
        ("maxpool 2x2/2", "maxpool 2x2, stride=2"),
        ("conv 3x3, 2 | relu", "unit 2"),
    ],
)
def test_ways_of_writing_are_no_difference(a: str, b: str) -> None:
    block = "block unit(n) = conv 3x3, n | relu\n"
    assert diff(load_rows(f"{block}a: {a}"), load_rows(f"{block}a: {b}")).is_empty


def test_padding_and_rounding_are_told_where_they_matter() -> None:
    difference = changes("a: conv 3x3/2, 2, round=ceil", "a: conv 3x3/2, 2, pad=same")
    assert difference == {
        "stages": [
            {
                "a": "a",
                "b": "a",
                "changes": {"pad": ["0", "(0, 1, 0, 1)"], "round": ["ceil", "floor"]},
            }
        ]
    }


def test_the_stages_of_branches_are_compared() -> None:
    difference = changes(
        "a: concat { conv 1x1, 2; conv 3x3, 5, pad=1 | relu; relu }",
        "a: concat { conv 1x1, 3; conv 3x3, 4, pad=1 | tanh; relu | relu }",
    )
    assert "output" not in difference
    assert difference["stages"] == [
        {"a": "a.b1", "b": "a.b1", "changes": {"kernel": ["1x1x3/1, 2", "1x1x3/1, 3"]}},
        {"a": "a.b2", "b": "a.b2", "changes": {"kernel": ["3x3x3/1, 5", "3x3x3/1, 4"]}},
        {"a": "a.b2.relu", "b": None, "changes": {}},
        {"a": "a.b3.relu", "b": None, "changes": {}},
        {
            "a": "a.concat",
            "b": "a.concat",
            "changes": {"from": [["b1", "b2.relu", "b3.relu"], ["b1", "b2.tanh", "b3.relu2"]]},
        },
        {"a": None, "b": "a.b2.tanh", "changes": {}},
        {"a": None, "b": "a.b3.relu1", "changes": {}},
        {"a": None, "b": "a.b3.relu2", "changes": {}},
    ]


def test_a_kernel_that_only_sees_more_channels_is_no_change_inside() -> None:
    rows = "a: conv 1x1, {n}\nb: concat {{ conv 1x1, 2; relu }}"
    pairs = diff(load_rows(rows.format(n=4)), load_rows(rows.format(n=5))).rows
    assert set(pairs[1].changes) == {"input", "output", "parameters", "macs"}


def test_what_rows_read_is_told_and_an_inserted_row_is_not_blamed_on_the_next() -> None:
    rows = "a: relu\nb: tanh\n{new}c: sigmoid\nd from {source}, c: add"
    before = load_rows(rows.format(new="", source="a"))
    inserted = diff(before, load_rows(rows.format(new="x: relu\n", source="a")))
    assert [pair.labels for pair in inserted.rows if not pair.is_alike] == [[None, "x"]]
    moved = changes(rows.format(new="", source="a"), rows.format(new="", source="b"))
    assert moved == {"from": [["a", "c"], ["b", "c"]]}
    headed = "a: relu\n{}head h from a: fc 3\nb: tanh"
    inserted = diff(load_rows(headed.format("")), load_rows(headed.format("x: tanh\n")))
    assert [pair.labels for pair in inserted.rows if not pair.is_alike] == [[None, "x"]]
    renamed = "z: relu\nb: tanh\nc: sigmoid\nd from z, c: add"
    assert all(pair.is_alike for pair in diff(before, load_rows(renamed)).rows)


def test_what_a_row_reads_inside_another_is_told() -> None:
    rows = "block two = {{\n x: relu\n y: tanh\n output {}, {}\n}}\na: two\nb from a: concat"
    one, other = load_rows(rows.format("x", "y")), load_rows(rows.format("y", "x"))
    assert diff(one, one).is_empty
    (pair,) = (pair for pair in diff(one, other).rows if "from" in pair.changes)
    assert pair.changes["from"] == [["a.x.relu", "a"], ["a.y.tanh", "a"]]


def test_another_operator_of_the_same_name_in_a_branch_is_told() -> None:
    rows = "a: concat {{ {} 1x1, 2; relu }}"
    (stage,) = changes(rows.format("conv"), rows.format("local"))["stages"]
    assert stage == {"a": "a.b1", "b": "a.b1", "changes": {"op": ["conv", "local"]}}


def test_a_head_stands_for_a_head_only() -> None:
    one = load_rows("a: relu\nb: fc 3")
    other = load_rows("a: relu\nc: tanh\nhead h from a: fc 3")
    assert [pair.labels for pair in diff(one, other).rows] == [
        ["a", "a"],
        ["b", None],
        [None, "c"],
        [None, "h"],
    ]


def test_heads_and_their_weights_are_told() -> None:
    rows = "a: relu\nb: tanh\nhead h from {}, weight={}: gap | fc 3"
    difference = changes(rows.format("a", 0.5), rows.format("b", 0))
    assert difference == {"from": [["a"], ["b"]], "weight": [0.5, 0.0]}
    text = shown(load_rows(rows.format("a", 0.5)), load_rows(rows.format("b", 0)))
    assert "reads a -> b" in text
    assert "weight 0.5 -> 0.0" in text
    assert "= total  with heads" in text
    assert "gap fc (head)" in text
    rows = ("a: relu\nb: fc 3", "a: relu\nhead b from a: fc 3")
    assert changes(*rows) == {"head": [False, "b"]}
    assert "head none -> b" in shown(*map(load_rows, rows))


def test_inputs_and_outputs_of_the_net_are_told() -> None:
    difference = diff(load_rows("a: gap"), load_rows("a: gap", "net b\ninput x 9x9x3\n"))
    assert difference.changes == {"inputs": [{"image": [8, 8, 3]}, {"x": [9, 9, 3]}]}
    assert difference.rows[0].changes == {"input": [[8, 8, 3], [9, 9, 3]], "kernel": ["8x8", "9x9"]}
    rows = "a: relu\nb: tanh\noutput {}"
    difference = diff(load_rows(rows.format("a, b")), load_rows(rows.format("b, a")))
    assert difference.changes == {"outputs": [["a", "b"], ["b", "a"]]}
    assert not difference.is_empty
    assert "~ outputs: a, b -> b, a" in [line.text for line in lines(difference)]
