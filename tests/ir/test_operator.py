"""An operator is what it means: how it was written does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from netspec import Net, compile, load
from netspec.backends.cpu import CpuBackend
from netspec.backends.tuning import described
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Kernel, Pair
from netspec.lowering.lowered import lowered
from netspec.lowering.passes import commute_avgpool, merge_siblings
from netspec.views.operator_text import operator_text
from tests.helpers import load_rows

SIZE = 8, 8, 3
"""The map of :func:`load_rows`."""

FORMS = ("conv {}, 4", "local {}, 4", "maxpool {}", "avgpool {}, count_pad=on")


class Window(NamedTuple):
    """A window in numbers; ``pad`` is top, bottom, left, right."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    pad: tuple[int, int, int, int]


def sides(word: str, size: int, extent: int, stride: int) -> Pair | None:
    """The padding that a word means, as TensorFlow and the handbook have it."""
    if word == "half":
        return (extent // 2, extent // 2) if extent % 2 else None
    missing = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return missing // 2, missing - missing // 2


@st.composite
def windows(draw: st.DrawFn, *, dilates: bool) -> Window:
    def pair(low: int, high: int) -> Pair:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, stride = pair(1, 3), pair(1, 3)
    dilation = pair(1, 2) if dilates else (1, 1)
    word = draw(st.sampled_from(["half", "same", ""]))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads: list[Pair] = []
    for axis in (0, 1):
        most = min(2, extents[axis] - 1)
        numbers = draw(st.integers(0, most)), draw(st.integers(0, most))
        meant = sides(word, SIZE[axis], extents[axis], stride[axis]) if word else numbers
        assume(meant is not None)
        assert meant is not None
        pads.append(meant)
    return Window(kernel, stride, dilation, (*pads[0], *pads[1]))


def spellings(window: Window) -> Iterator[str]:
    """Every way to write the arguments of a window: kernel, then what has a name."""
    kernel, stride, dilation, pad = window
    (down, right), size = stride, "x".join(map(str, kernel))
    strides = [(size, f"stride={down}x{right}")]
    if down == right:
        strides += [(size, f"stride={down}"), (f"{size}/{down}", "")]
    if stride == (1, 1):
        strides.append((size, ""))
    dilations = [f"dilation={'x'.join(map(str, dilation))}"]
    if dilation[0] == dilation[1]:
        dilations.append(f"dilation={dilation[0]}")
    if dilation == (1, 1):
        dilations = [""]
    pads = [f"pad=({', '.join(map(str, pad))})"]
    if pad[0] == pad[1] and pad[2] == pad[3]:
        pads.append(f"pad={pad[0]}x{pad[2]}")
    if len(set(pad)) == 1:
        pads.append(f"pad={pad[0]}")
    if not any(pad):
        pads.append("")
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    for word in ("half", "same"):
        meant = [sides(word, SIZE[axis], extents[axis], stride[axis]) for axis in (0, 1)]
        if None not in meant and [n for pair in meant for n in pair or ()] == list(pad):
            pads.append(f"pad={word}")
    for (first, one), two, three in product(strides, dilations, pads):
        yield ", ".join([first, *filter(None, (one, two, three))])


def rows_of(form: str, arguments: str) -> str:
    """A row of an operator, whose ``form`` has a place for the kernel."""
    kernel, _, named = arguments.partition(", ")
    return f"a: {form.format(kernel)}" + (f", {named}" if named else "")


def problems(net: Net) -> list[str]:
    """The names of problems in the file of measured times."""
    lowered_net = lowered(net.graph, CpuBackend(), dtype=torch.float32, batch=2)
    return [described(problem) for problem in lowered_net.problems.values()]


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_spellings_of_one_operator_are_equal(form: str, data: st.DataObject) -> None:
    dilates = form.startswith(("conv", "local"))
    written = list(spellings(data.draw(windows(dilates=dilates))))
    chosen = st.sampled_from(written)
    nets = [load_rows(rows_of(form, data.draw(chosen))) for _ in range(2)]
    one, other = (net.graph.stage(net.graph.outputs[0]).op for net in nets)
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)
    assert problems(nets[0]) == problems(nets[1])
    plans = [lowered(n.graph, CpuBackend(), dtype=torch.float32, batch=2).plan for n in nets]
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1x1x3/1, 8", "1x1, 8"),
        ("3x3/2, 8", "3x3, 8, stride=2"),
        ("3x3, 8, pad=1", "3x3, 8, pad=same"),
        ("3x3, 8, pad=1", "3x3, 8, pad=half"),
        ("3x3/2, 8, pad=same", "3x3/2, 8, pad=(0, 1, 0, 1)"),
        ("5x5, 8, dilation=2, pad=same", "5x5, 8, dilation=2, pad=4"),
        ("3x3/2, 8, pad=same, round=ceil", "3x3/2, 8, pad=same"),
        ("3x3, 8, round=ceil", "3x3, 8"),
        ("1x1, 8, dilation=2", "1x1, 8"),
    ],
)
def test_siblings_that_are_written_differently_are_merged(one: str, other: str) -> None:
    graph = load_rows(f"a from image: conv {one}\nb from image: conv {other}\nc from a, b: concat")
    assert merge_siblings.rewrite(graph.graph) == 1
    assert not [entry for entry in graph.graph.journal if entry.refusal]


def test_siblings_that_are_not_the_same_are_not_merged() -> None:
    rows = "a from image: conv 3x3, 8, pad=1\nb from image: conv 3x3, 8, pad=(2, 0, 1, 1)\n"
    graph = load_rows(f"{rows}c from a, b: concat").graph
    assert merge_siblings.rewrite(graph) == 0
    assert [entry.refusal for entry in graph.journal] == [1, 1]


def test_a_stride_behind_the_kernel_is_the_stride() -> None:
    op = load("alexnet").graph.stage("C1").op
    assert isinstance(op, Conv)
    assert (op.kernel, op.stride) == ((11, 11), (4, 4))
    assert Conv(kernel=Kernel(3, 3, 16, 2), count=8) == Conv(
        kernel=Kernel(3, 3), stride=(2, 2), count=8
    )


@pytest.mark.parametrize(
    ("kernel", "pad", "sides"),
    [
        (Kernel(3, 5), "half", (1, 1, 2, 2)),
        (Kernel(3, 5), "same", (1, 1, 2, 2)),
        (Kernel(2, 4), "same", (0, 1, 1, 2)),
    ],
)
def test_padding_that_no_size_decides_is_numbers_at_once(
    kernel: Kernel, pad: str, sides: tuple[int, ...]
) -> None:
    assert Conv(kernel=kernel, count=1, pad=pad).pad == sides
    assert MaxPool(kernel=kernel, pad=pad, round="ceil").pad == sides
    is_fitting = pad == "same"  # so that nothing is left to round
    assert MaxPool(kernel=kernel, pad=pad, round="ceil").round == (
        "floor" if is_fitting else "ceil"
    )


def test_padding_stays_a_word_until_the_sizes_are_known() -> None:
    rows = "input image H x 8 x 3\na: conv 3x3/2, 4, pad=same\noutput a"
    open_size = load_rows(rows, header="net n\n").graph
    op = open_size.stage(open_size.outputs[0]).op
    assert isinstance(op, Conv)
    assert op.pad == "same"
    closed = load_rows(rows, header="net n\n", H=8).graph.stage(open_size.outputs[0]).op
    assert isinstance(closed, Conv)
    assert closed.pad == (0, 1, 0, 1)


def test_the_written_form_stays_with_the_stage() -> None:
    stage = load_rows("a: conv 3x3x3/2, 4, pad=same").graph.stage("a")
    assert stage.written == {"kernel": Kernel(3, 3, 3, 2), "count": 4, "pad": "same"}


def test_a_pass_that_changes_an_operator_drops_how_it_was_written() -> None:
    graph = load_rows("a: avgpool 3x3/1, pad=half, count_pad=on | conv 1x1x3/1, 1").graph
    assert commute_avgpool.rewrite(graph) == 1
    stage = graph.stage(graph.outputs[0])
    text = operator_text(stage.op, stage.written)
    assert text == "avgpool_bias 3x3, pad=1, count_pad=on"


def test_what_is_written_differently_computes_the_same() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    one, other = (
        compile(load_rows(f"a: conv {text} | maxpool 3x3/2, pad=same"))(images)
        for text in ("3x3/2, 4, pad=same", "3x3x3, 4, stride=2, pad=(0, 1, 0, 1)")
    )
    assert torch.equal(one, other)
