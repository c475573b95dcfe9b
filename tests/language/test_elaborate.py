from __future__ import annotations

import pytest

from netspec import loads
from tests.helpers import codes, codes_of_rows, load_rows


def names(rows: str) -> list[str]:
    return [stage.name for stage in load_rows(rows).graph.stages()][1:]


# ------------------------------------------------------------------------------------------ names


def test_the_operator_is_left_out_when_it_alone_holds_parameters() -> None:
    assert names("C1: conv 3x3, 4 | relu") == ["C1", "C1.relu"]
    assert names("P: maxpool 2x2/2") == ["P.maxpool"]
    assert names("S: subsample 2x2/2, by=sum | tanh") == ["S", "S.tanh"]


def test_operators_of_one_name_count_from_one() -> None:
    assert names("c: conv 3x3, 4 | relu | conv 1x1, 4 | relu | lrn 5") == [
        "c.conv1", "c.relu1", "c.conv2", "c.relu2", "c.lrn"
    ]  # fmt: skip
    assert names("c: conv 3x3, 4 | bn eps=1e-5 | relu") == ["c.conv", "c.bn", "c.relu"]


def test_branches_count_from_one_and_nest() -> None:
    rows = "m: conv 1x1, 4 | concat { conv 1x1, 2; add { conv 1x1, 2; conv 1x1, 2 | relu } }"
    assert names(rows) == [
        "m", "m.b1", "m.b2.b1", "m.b2.b2", "m.b2.b2.relu", "m.b2.add", "m.concat"
    ]  # fmt: skip
    assert names("m: concat { relu; abs } | concat { relu; abs }") == [
        "m.b1.relu", "m.b2.abs", "m.concat1", "m.b3.relu", "m.b4.abs", "m.concat2"
    ]  # fmt: skip


def test_labels_inside_blocks_nest() -> None:
    rows = """
block res(n) = {
    a: conv 3x3, n, pad=1 | relu
    b: conv 3x3, n, pad=1
    sum from b, input: add | relu
}
r1: res 3
r2: res 3 | res 3
"""
    assert names(rows) == [
        "r1.a", "r1.a.relu", "r1.b", "r1.sum.add", "r1.sum.relu",
        "r2.res1.a", "r2.res1.a.relu", "r2.res1.b", "r2.res1.sum.add", "r2.res1.sum.relu",
        "r2.res2.a", "r2.res2.a.relu", "r2.res2.b", "r2.res2.sum.add", "r2.res2.sum.relu",
    ]  # fmt: skip


def test_two_stages_of_one_name_are_refused() -> None:
    rows = "block b = {\n relu: abs\n}\nr: relu | b | relu\n"
    assert codes_of_rows(rows.replace("relu: abs", "relu1: identity\n b from relu1: abs")) == []
    assert codes_of_rows(
        "block b = {\n b1: conv 1x1, 4\n}\nr: b | concat { conv 1x1, 2; relu }"
    ) == ["NS110"]


# ------------------------------------------------------------------------------------------- rows


def test_a_row_reads_the_row_before_it_or_those_it_names() -> None:
    graph = load_rows("a: relu\nb: abs\nc from a: tanh\nd from b, c: add").graph
    assert graph.operands("b.abs") == ("a.relu",)
    assert graph.operands("c.tanh") == ("a.relu",)
    assert graph.operands("d.add") == ("b.abs", "c.tanh")
    assert graph.outputs == ["d.add"]


def test_one_row_may_be_read_twice_by_the_same_stage() -> None:
    graph = load_rows("a: relu\nb from a, a: add").graph
    assert graph.operands("b.add") == ("a.relu", "a.relu")
    graph.verify()


def test_a_range_is_rows_in_sequence() -> None:
    graph = load_rows("r8..r10: relu").graph
    assert list(graph.rows) == ["r8", "r9", "r10"]
    assert graph.operands("r10.relu") == ("r9.relu",)
    assert list(load_rows("5b..5d: relu").graph.rows) == ["5b", "5c", "5d"]
    assert list(load_rows("01..03: relu").graph.rows) == ["01", "02", "03"]
    assert list(load_rows("x: abs\na1..a3 from image: relu\ny from x, a3: add").graph.rows) == [
        "x", "a1", "a2", "a3", "y"
    ]  # fmt: skip


@pytest.mark.parametrize("labels", ["a..B", "a1..b2", "a2..a1", "a..a1", "ab..cd"])
def test_what_does_not_count_up_is_no_range(labels: str) -> None:
    assert codes_of_rows(f"{labels}: relu") == ["NS117"]


def test_outputs_are_those_named_in_their_order() -> None:
    graph = load_rows("a: relu\nb: abs\noutput b, a").graph
    assert graph.outputs == ["b.abs", "a.relu"]


def test_several_inputs_are_read_by_name() -> None:
    header = "net two\ninput left 8x8x3\ninput right 8x8x3\n"
    graph = load_rows("a from left: relu\nb from right: relu\nc from a, b: concat", header).graph
    assert graph.inputs == ["left", "right"]
    assert graph.stage("c.concat").shape == (8, 8, 6)
    assert codes_of_rows("a from left: relu", header) == ["NS118"]
    assert codes_of_rows("a: relu", header) == ["NS119"]


def test_a_row_whose_stages_are_all_off_passes_its_input_on() -> None:
    assert names("a: relu if off\nb: abs") == ["a.identity", "b.abs"]


def test_heads_read_a_row_and_stay_out_of_the_way() -> None:
    net = load_rows("a: conv 1x1, 4\nb: gap | fc 2\nhead aux from a, weight=0.3: gap | fc 2")
    assert net.graph.outputs == ["b"]
    assert net.graph.heads["aux"].weight == 0.3
    assert net.graph.heads["aux"].output == "aux"
    assert [s.head for s in net.graph.stages()] == ["", "", "", "", "aux", "aux"]
    assert net.totals.parameters == 3 * 4 + 4 + 4 * 2 + 2
    assert net.totals_with_heads.parameters == net.totals.parameters + 10


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a: relu\na: abs", ["NS110"]),
        ("image: relu", ["NS110"]),
        ("a: relu\nhead a from a, weight=1: gap", ["NS110"]),
        ("a: relu\nb from c: abs", ["NS111"]),
        ("a from b: relu\nb from image: abs", ["NS111"]),
        ("a: relu\nhead h from a, weight=1: gap\nb from h: relu", ["NS111"]),
        ("a: relu\noutput c", ["NS111"]),
        ("a: relu\nb from image: abs", ["NS118"]),
        ("a: relu\nb: abs\noutput a", ["NS118"]),
        ("a: relu\nhead h from a, wait=1: gap", ["NS130"]),
        ("a: relu\nhead h from a, weight=-1: gap", ["NS132"]),
        ("a: relu\nhead h from a, weight=1, weight=2: gap", ["NS131"]),
        ("a: relu -> 8x8x3 params 0 params 0", ["NS131"]),
        ("a: relu\nclaim params 0\nclaim params 0", ["NS131"]),
        ("a: relu\noutput a, a", ["NS131"]),
        ("output image", ["NS009"]),
        ("a: relu { tanh; abs }", ["NS208"]),
        ("a: concat", ["NS208"]),
        ("a: 3", ["NS101"]),
        ("let n = 3\na: n", ["NS112"]),
        ("block b = relu\na: b { tanh }", ["NS208"]),
    ],
)
def test_rows_that_cannot_be(rows: str, expected: list[str]) -> None:
    assert codes_of_rows(rows) == expected


def test_one_mistake_is_reported_once() -> None:
    assert codes_of_rows("a: cnov 3x3\nb: conv 99x99, 3\nc from a, b: add") == ["NS112"]
    assert codes_of_rows("a: conv 99x99, 3\nb: conv 98x98, 3\nc from a, b: add") == ["NS201"]
    assert codes_of_rows("a: conv 99x99, 3 -> 5x5x5 params 1\nclaim params 5") == ["NS201"]
    assert codes_of_rows("a: cnov 3 -> 5x5x5 params 1\nb: fc 2\nclaim params 5") == ["NS112"]


def test_rows_of_blocks_within_blocks_count_once() -> None:
    rows = """
block t = { c: conv 1x1, 3 }
block s = { a: t }
block q = { z: s }
r: q -> 8x8x3 params 12
"""
    net = load_rows(rows)
    assert net.totals.parameters == 12
    assert net.graph.rows["r"].stages == ["r.z.a.c"]
    assert net.graph.rows["r"].own_stages == ["r.z.a.c"]


def test_heads_reach_into_blocks() -> None:
    rows = "block b = { x: conv 1x1, 2 }\na: relu\nhead h from a, weight=1: b | gap"
    net = load_rows(rows)
    assert net.totals.parameters == 0
    assert [s.head for s in net.graph.stages()][-2:] == ["h", "h"]


def test_a_row_of_several_outputs_has_no_one_size() -> None:
    block = "block b = { p: relu; q from input: conv 3x3, 2; output p, q }\n"
    assert codes_of_rows(block + "a: b -> 8x8x3\nc from a: add") == ["NS208"]
    assert codes_of_rows(block + "a: relu\nc: gap\nhead h from a, weight=1: b") == ["NS208"]
    broken = block.replace("p: relu", "p: conv 99x99, 3 | relu | relu")
    assert codes_of_rows(broken + "a: b\nz from a: concat") == ["NS201"]


def test_words_of_a_row_are_those_that_stand() -> None:
    text = "net n(act=relu, f=b)\nblock b = tanh\ninput i 8x8x3\na: act | f | abs if off"
    assert loads(text).graph.rows["a"].words == ("relu", "b")


# ------------------------------------------------------------------------------------ definitions


def test_a_block_can_be_the_value_of_a_parameter() -> None:
    text = "net n(f=act)\nblock act = relu\nblock other = tanh\ninput i 8x8x3\na: f"
    assert [s.op.name for s in loads(text).graph.stages()] == ["input", "relu"]
    assert [s.op.name for s in loads(text, f="other").graph.stages()] == ["input", "tanh"]


def test_a_mistake_in_a_block_is_one_however_often_it_is_called() -> None:
    assert codes_of_rows("block b = cnov 3x3\na: b\nc: b\nd: b") == ["NS112"]
    assert codes_of_rows("a1..a3: relu -> 8x8x3 params 1/0") == ["NS141"]
    assert codes_of_rows("default round=3\na: maxpool 2x2\nb: maxpool 2x2") == ["NS132"]


def test_blocks_take_numbers_kernels_operators_and_blocks() -> None:
    rows = """
block act = relu | abs
block c(k, n, f, g=tanh, pad=half) = conv k, n, pad=pad | f | g
a: c 3x3, 4, act
b: c 5x5/2, n=2*2, f=sigmoid, g=act, pad=2
"""
    assert names(rows) == [
        "a", "a.relu", "a.abs", "a.tanh", "b", "b.sigmoid", "b.relu", "b.abs"
    ]  # fmt: skip
    assert load_rows(rows).graph.stage("b").shape == (4, 4, 4)


def test_a_default_of_an_argument_may_use_those_before_it() -> None:
    graph = load_rows("block c(n, m=2*n) = conv 1x1, n | conv 1x1, m\na: c 3").graph
    assert graph.stage("a.conv2").shape == (8, 8, 6)


def test_a_block_does_not_see_the_arguments_of_its_caller() -> None:
    rows = "block inner = conv 1x1, n\nblock outer(n) = inner\na: outer 3"
    assert codes_of_rows(rows) == ["NS113"]


def test_blocks_may_be_defined_below_their_use() -> None:
    assert names("a: c\nblock c = relu") == ["a.relu"]


def test_constants_use_those_above_them() -> None:
    assert load_rows("let n = 2\nlet m = n * 3\na: fc m -> 6").claims == 1
    assert codes_of_rows("let m = n * 3\nlet n = 2\na: fc m") == ["NS113"]


def test_rows_of_a_block_have_constants_outputs_and_claims_of_their_own() -> None:
    rows = """
block b(n) = {
    let m = n // 2
    x: conv 1x1, m -> 8 x 8 x m params 3*m + m
    y: relu
    z from x: abs
    output z, y
}
a: b 6 | add
"""
    net = load_rows(rows)
    assert net.claims == 2
    assert net.graph.operands("a.add") == ("a.z.abs", "a.y.relu")
    assert codes_of_rows(rows.replace("params 3*m + m", "params 3*m")) == ["NS302"]


def test_conditions_choose_stages() -> None:
    text = "net n(deep=on, act=relu)\ninput image 8x8x3\na: act | abs if deep | tanh if act != relu"
    assert [s.op.name for s in loads(text).graph.stages()][1:] == ["relu", "abs"]
    changed = loads(text, deep=False, act="sigmoid")
    assert [s.op.name for s in changed.graph.stages()][1:] == ["sigmoid", "tanh"]


def test_defaults_hold_for_one_operator_or_all_that_have_the_attribute() -> None:
    rows = "default round=ceil\ndefault maxpool round=floor, stride=2\n"
    rows += "a: conv 3x3/2, 4 -> 4x4x4\nb: maxpool 3x3 -> 1x1x4"
    assert load_rows(rows).claims == 2
    assert load_rows("default maxpool stride=2\na: maxpool 3x3/1 -> 6x6x3").claims == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("default conv padd=1\na: relu", ["NS130"]),
        ("default padd=1\na: relu", ["NS130"]),
        ("default cnov pad=1\na: relu", ["NS112"]),
        ("default pad=1\ndefault pad=2\na: relu", ["NS131"]),
        ("let relu = 3\na: relu", ["NS115"]),
        ("block conv(n) = fc n\na: conv 3x3, 3", ["NS115"]),
        ("block b(relu) = relu\na: b tanh", ["NS115"]),
        ("block b = { let relu = 3; x: relu }\na: b", ["NS115"]),
        ("let n = 3\nblock n = relu\na: n", ["NS110"]),
        ("block b(n, n) = fc n\na: b 3", ["NS110"]),
        ("block b = c\nblock c = b\na: b", ["NS114"]),
        ("block b(n) = fc n\na: b", ["NS116"]),
        ("block b(n) = fc n\na: b 3, 4", ["NS116"]),
        ("block b(n) = fc n\na: b m=4", ["NS116"]),
        ("block b(n) = fc n\na: b 3, n=4", ["NS131"]),
        ("block b(n, m) = fc n\na: b m=3, 4", ["NS134"]),
        ("let n = 1/0\na: fc n", ["NS141"]),
        ("let h = g\nlet g = 3\na: fc h", ["NS113"]),
        ("let on = off\na: relu", ["NS115"]),
        ("block b(n) = { let n = 3; x: fc n }\na: b 9", ["NS110"]),
        ("block b = { x: relu; output x, x }\na: b | add", ["NS131"]),
        ("a: nonesuch if off", ["NS112"]),
        ("default dropout rate=0.5\na: relu", ["NS130"]),
        ("default conv pad=foo\na: relu", ["NS113"]),
    ],
)
def test_definitions_that_cannot_be(rows: str, expected: list[str]) -> None:
    assert codes_of_rows(rows) == expected


# ------------------------------------------------------------------------------------- attributes


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("conv 3x3, 4, filtersize=3", ["NS130"]),
        ("conv 3x3, 4, pad=1, pad=1", ["NS131"]),
        ("conv 3x3, 4, kernel=5x5", ["NS131"]),
        ("conv 3, 4", ["NS132"]),
        ("conv 3x3, 0", ["NS132"]),
        ("conv 3x3, 2.5", ["NS132"]),
        ("conv 3x3, -4", ["NS132"]),
        ("conv 3x3/0, 4", ["NS132"]),
        ("conv 0x3, 4", ["NS132"]),
        ("conv 3x3, 4, stride=-1", ["NS132"]),
        ("conv 3x3, 4, pad=-1", ["NS132"]),
        ("conv 3x3, 4, pad=(1, 2, 3)", ["NS132"]),
        ("conv 3x3, 4, pad=(1, 2, 3, -4)", ["NS132"]),
        ("conv 3x3, 4, bias=2", ["NS132"]),
        ("conv 3x3, 4, bias=of", ["NS113"]),
        ("conv 3x3, 4, round=up", ["NS113"]),
        ("conv 3x3, 4, round=same", ["NS132"]),
        ("conv 3x3, 4, groups=3", ["NS132"]),
        ("conv 3x3, n", ["NS113"]),
        ("conv 3x3", ["NS133"]),
        ("conv", ["NS133", "NS133"]),
        ("maxpool 3x3x3/2", ["NS132"]),
        ("maxpool 3x3/2, 4", ["NS135"]),
        ("maxpool 3x3/2, stride=2", ["NS136"]),
        ("subsample 2x2/2", ["NS133"]),
        ("subsample 2x2/2, by=max", ["NS113"]),
        ("bn", ["NS133"]),
        ("bn eps=0", ["NS132"]),
        ("avgpool 3x3/1, pad=1", ["NS133"]),
        ("avgpool 3x3/1, pad=same", ["NS133"]),
        ("lrn 4", ["NS132"]),
        ("lrn 5, k=0", ["NS132"]),
        ("dropout 1", ["NS132"]),
        ("relu 3", ["NS135"]),
        ("lrn 5, groups=2", ["NS207"]),
    ],
)
def test_attributes_that_cannot_be(stage: str, expected: list[str]) -> None:
    assert codes_of_rows(f"a: {stage}") == expected


@pytest.mark.parametrize(
    ("stage", "size"),
    [
        ("conv 3x3, 4, pad=1", "8x8x4"),
        ("conv 3x5, 4, pad=1x2", "8x8x4"),
        ("conv 5x5, 4, pad=(0, 1, 2, 3)", "5x9x4"),
        ("conv 5x3, 4, pad=half", "8x8x4"),
        ("conv 4x4/3, 4, pad=same", "3x3x4"),
        ("conv 3x3, 4, stride=2x1", "3x6x4"),
        ("conv 3x3, 4, dilation=2", "4x4x4"),
        ("maxpool 3x3/2, round=ceil", "4x4x3"),
    ],
)
def test_paddings_and_strides(stage: str, size: str) -> None:
    assert load_rows(f"a: {stage} -> {size}").claims == 1


# --------------------------------------------------------------------------------------- settings


def test_settings_are_read_as_the_spec_would_read_them() -> None:
    text = "net n(k=3x3/2, m=2, act=relu, on_=on)\ninput image 8x8x3\na: conv k, m | act if on_"
    net = loads(text, k="5x5/1", m="2*3", act="tanh")
    assert str(net.graph.stage("a").shape) == "4x4x6"
    assert [s.op.name for s in net.graph.stages()] == ["input", "conv", "tanh"]
    assert loads(text, m=7).graph.stage("a").shape == (3, 3, 7)


def test_settings_that_cannot_be() -> None:
    text = "net n(m=2)\ninput image 8x8x3\na: fc m"
    assert codes(text, n="2") == ["NS120"]
    assert codes(text, m="2 3") == ["NS101"]
    assert codes(text, m="1/0") == ["NS141"]
    assert codes(text, m="relu") == ["NS132"]
    assert codes(text, m="(") == ["NS101"]
    assert codes(text, m="abc") == ["NS113"]
    assert codes(text, m=float("nan")) == ["NS007"]


def test_numbers_from_python_are_exact() -> None:
    text = "net n(m=2, a=0.5)\ninput image 8x8x3\na: fc m | dropout a"
    assert loads(text, m=8.0).graph.stage("a").shape == (8,)
    assert loads(text, m=" 5\n").graph.stage("a").shape == (5,)


def test_parameters_may_have_the_names_of_arguments_in_python() -> None:
    text = "net n(spec=2, name=3, text=4)\ninput image 8x8x3\na: fc spec + name + text"
    assert loads(text, spec=1, name=1, text=1).graph.stage("a").shape == (3,)


def test_a_net_may_have_words_of_its_own() -> None:
    text = "net n(mode=fast)\ninput image 8x8x3\na: relu | abs if mode == fast"
    assert len(loads(text).graph) == 3
    assert len(loads(text, mode="slow").graph) == 2


def test_the_default_value_given_from_outside_changes_nothing() -> None:
    text = "net n(m=2)\ninput image 8x8x3\na: fc m -> 3"
    assert codes(text, m="2") == ["NS301"]
    assert codes(text, m="3") == []
