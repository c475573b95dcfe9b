"""``channels`` in arguments: the channels of the input of a stage or of a call of a block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec import SpecError, loads
from tests.examples import examples
from tests.helpers import load_rows

HEADER = "net example\ninput image 8x8x6\n"
BLOCKS = """
block depthwise(k, s=1) = conv k, channels, pad=half, stride=s, groups=channels, bias=off
block inverted(t, n) = { a: conv 1x1, t * channels; b: depthwise 3x3; c: conv 1x1, n }
block gate(r, n=channels) = mul { identity; gap | conv 1x1, n // r | relu | conv 1x1, n | sigmoid }
"""


def same(written: str, meant: str) -> None:
    """Check that two texts of rows are nets with the same stages, sizes and parameters."""
    stages = [
        [(s.op, s.shape) for s in load_rows(rows).graph.stages()] for rows in (written, meant)
    ]
    assert stages[0] == stages[1]


def errors(rows: str) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        loads(HEADER + rows)
    return [(error.code, error.message) for error in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a: conv 3x3, channels, groups=channels", "a: conv 3x3, 3, groups=3"),
        ("a: conv 1x1, 4 | conv 1x1, 6 * channels", "a: conv 1x1, 4 | conv 1x1, 24"),
        ("a: conv 1x1, 9\nb: conv 1x1, channels // 4 + 1", "a: conv 1x1, 9\nb: conv 1x1, 3"),
        ("a: fc 10 | relu | fc channels / 2", "a: fc 10 | relu | fc 5"),
        ("a: concat { conv 1x1, 5; identity } | conv 1x1, channels",
         "a: concat { conv 1x1, 5; identity } | conv 1x1, 8"),
        ("a: conv 1x1, 4\nb from image, a: concat | conv 1x1, channels",
         "a: conv 1x1, 4\nb from image, a: concat | conv 1x1, 7"),
        ("a1..a3: conv 1x1, 2 * channels", "a1: conv 1x1, 6\na2: conv 1x1, 12\na3: conv 1x1, 24"),
        ("a: conv 1x1, 1 if off | conv 1x1, channels", "a: conv 1x1, 3"),
    ],
)  # fmt: skip
def test_channels_are_those_of_the_input_of_the_stage(written: str, meant: str) -> None:
    same(written, meant)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a: conv 1x1, 4 | depthwise 3x3/2",
         "a: conv 1x1, 4 | conv 3x3, 4, pad=1, stride=2, groups=4, bias=off"),
        ("a: inverted 2, channels",
         "a: conv 1x1, 6 | conv 3x3, 6, pad=1, groups=6, bias=off | conv 1x1, 3"),
        # the default of an argument is about the input of the call, wherever it is used
        ("a: conv 1x1, 8 | gate 4", "a: conv 1x1, 8 | mul { identity; gap | conv 1x1, 2 | relu | "
         "conv 1x1, 8 | sigmoid }"),
        ("a: conv 1x1, 8 | gate channels // 4", "a: conv 1x1, 8 | mul { identity; gap | "
         "conv 1x1, 4 | relu | conv 1x1, 8 | sigmoid }"),
        ("block outer(m) = conv 1x1, 2 * m | gate 2, m * 2\na: outer channels",
         "a: conv 1x1, 6 | mul { identity; gap | conv 1x1, 3 | relu | conv 1x1, 6 | sigmoid }"),
        ("block rows(m=channels) = { let h = 2 * m; x: conv 1x1, h; y: conv 1x1, m }\na: rows",
         "a: conv 1x1, 6 | conv 1x1, 3"),
    ],
)  # fmt: skip
def test_channels_in_arguments_of_blocks(written: str, meant: str) -> None:
    same(f"{BLOCKS}\n{written}", meant)


def test_channels_may_be_a_symbol() -> None:
    loads(
        "net example\ninput map H x W x C\n"
        "a: conv 3x3, channels, pad=1, groups=channels -> H x W x C       params 10*C\n"
        "b: conv 1x1, 6 * channels                     -> H x W x (6*C)   params 6*C*(C + 1)\n"
    )
    with pytest.raises(SpecError, match="parameters of row b: 6"):
        loads(
            "net example\ninput map H x W x C\n"
            "b: conv 1x1, 6 * channels -> H x W x (6*C) params 5*C*(C + 1)\n"
        )


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        ("let n = channels\na: conv 1x1, n", "NS146",
         "`channels` is the channels of a stage's input, and no stage has it here"),
        ("default conv groups=channels\na: conv 1x1, 6", "NS146",
         "`channels` is the channels of a stage's input, and no stage has it here"),
        ("block b = { let n = channels; x: conv 1x1, n }\na: b", "NS146",
         "`channels` is the channels of a stage's input, and no stage has it here"),
        ("a: relu -> 8x8x6 params channels", "NS146",
         "`channels` is the channels of a stage's input, and no stage has it here"),
        ("a: conv 1x1, 4 if channels > 3", "NS146", "a condition cannot depend on `channels`"),
        ("block b(n) = conv 1x1, n if n > 3\na: b channels", "NS146",
         "a condition cannot depend on `channels`"),
        ("block b(n) = { let m = n; x: relu | abs if m == 2 }\na: b channels", "NS146",
         "a condition cannot depend on `channels`"),
        ("let channels = 3\na: relu", "NS115",
         "`channels` is a word of the language and cannot be defined again"),
        ("block b(channels) = conv 1x1, channels\na: b 3", "NS115",
         "`channels` is a word of the language and cannot be defined again"),
        ("a: channels", "NS112", "`channels` is a number of channels, not an operator"),
        ("block b(f) = f\na: b channels", "NS112", "`f` is a number of channels, not an operator"),
        ("block b(n) = concat | conv 1x1, n\na: relu\nb from image, a: b channels", "NS208",
         "`channels` needs one input, and this stage has 2"),
        ("a: conv 1x1, channels / 4", "NS132",
         "count of conv: expected a whole number of at least 1, and this is 1.5"),
        ("a: conv 3x3, chanels", "NS113", "`chanels` is not defined; for count of conv, expected a "
         "whole number of at least 1"),
    ],
)  # fmt: skip
def test_channels_where_they_have_no_meaning(rows: str, code: str, message: str) -> None:
    assert errors(rows)[0] == (code, message)


@pytest.mark.parametrize(
    "rows",
    [
        "a: conv 9x9, 4\nb: conv 1x1, channels\nc: conv 3x3, 2 * channels",
        "a: conv 9x9, 4 | conv 1x1, channels",
        "block b(n) = conv 1x1, n | conv 1x1, n\na: conv 9x9, 4 | b channels\nc: relu",
        "a: conv 9x9, 4\nb: conv 1x1, channels\ntrain { loss cross_entropy; batch 1; epochs 1\n"
        "optimizer sgd lr=1\nprepare range low=0, high=1\ninit gaussian 0.1 for b\n}",
    ],
)
def test_a_stage_that_does_not_fit_is_the_only_error(rows: str) -> None:
    assert [code for code, _ in errors(rows)] == ["NS201"]


def test_a_mistake_in_an_argument_of_a_block_is_reported_once() -> None:
    rows = "block b(n) = conv 1x1, n | conv 1x1, n\na: b channels / 0\nc: relu"
    assert [code for code, _ in errors(rows)] == ["NS141"]
    unused = "block b(n) = relu\na: b channels / 0"
    assert [code for code, _ in errors(unused)] == ["NS141"]


def test_a_long_chain_of_calls_needs_no_stack() -> None:
    rows = "a1..a3000: conv 1x1, channels\n"
    assert load_rows(rows).graph.stage("a3000").known_shape.channels == 3


@examples(30)
@given(st.data())
def test_channels_equal_the_number_that_they_stand_for(data: st.DataObject) -> None:
    stages, meant, channels = [], [], 6
    for _ in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["depthwise", "wider", "block", "pool"]))
        if kind == "depthwise":
            stages.append("conv 3x3, channels, pad=1, groups=channels")
            meant.append(f"conv 3x3, {channels}, pad=1, groups={channels}")
        elif kind == "wider":
            times = data.draw(st.integers(1, 3))
            stages.append(f"conv 1x1, {times} * channels + 1")
            channels = times * channels + 1
            meant.append(f"conv 1x1, {channels}")
        elif kind == "block":
            stages.append("twice channels")
            meant.append(f"conv 1x1, {channels + 1} | conv 1x1, {channels}")
        else:
            stages.append("maxpool 1x1")
            meant.append("maxpool 1x1")
    block = "block twice(n) = conv 1x1, n + 1 | conv 1x1, n\n"
    pipes = [" | ".join([*pipe, "twice 1"]) for pipe in (stages, meant)]
    a, b = (loads(f"{HEADER}{block}a: {pipe}\n").graph for pipe in pipes)
    described = [[(s.name, s.op, s.shape) for s in graph.stages()] for graph in (a, b)]
    assert described[0] == described[1]
