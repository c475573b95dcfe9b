from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir import reach as module
from netspec.ir.reach import Reach

WINDOW = Reach(((-1, 1),), 2)
NEAREST = Reach(((0, 0), (0, 0)), 1)
BILINEAR = Reach(((-1, 0), (0, 1)), 1)
ONE = Reach(((0, 0),), 1)

spans = st.tuples(st.integers(-3, 3), st.integers(0, 4)).map(lambda s: (s[0], s[0] + s[1]))


@st.composite
def reaches(draw: st.DrawFn) -> Reach:
    """First and last positions never decrease from one output to the next, as in operators."""
    number, advance = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    firsts, lasts = zip(*draw(st.lists(spans, min_size=number, max_size=number)), strict=True)
    first, last = sorted(firsts), sorted(lasts)
    steps = [0, *(draw(st.integers(0, advance)) for _ in range(number - 1))]
    return Reach(
        tuple((min(a, first[0] + s), max(b, first[0] + s))
              for a, b, s in zip(first, last, sorted(steps), strict=True)),
        advance + max(first[-1] - first[0], last[-1] - last[0]),
    )  # fmt: skip


@given(reaches(), reaches(), st.integers(-7, 12))
def test_a_reach_through_another_is_that_of_its_positions(
    inner: Reach, outer: Reach, output: int
) -> None:
    first, last = outer.at(output)
    seen = [inner.at(position) for position in range(first, last + 1)]
    ends = min(a for a, _ in seen), max(b for _, b in seen)
    assert inner.through(outer).at(output) == ends


@given(st.lists(reaches(), min_size=2, max_size=4), st.integers(0, 12))
def test_without_room_for_its_spans_a_reach_is_a_bound(layers: list[Reach], output: int) -> None:
    exact = bound = ONE
    with pytest.MonkeyPatch.context() as patch:
        for layer in layers:
            exact = exact.through(layer)
        patch.setattr(module, "MOST_SPANS", 1)
        for layer in layers:
            bound = bound.through(layer)
    assert bound.stride == exact.stride
    assert bound.size >= exact.size
    joined = Reach.union([bound, exact])
    assert joined.at(output)[0] <= exact.at(output)[0]
    assert joined.at(output)[1] >= exact.at(output)[1]
    assert bound.at(output)[0] <= exact.at(output)[0]
    assert bound.at(output)[1] >= exact.at(output)[1]


@given(st.lists(reaches(), min_size=1, max_size=3), st.integers(0, 12))
def test_a_union_covers_every_branch_of_the_same_stride(branches: list[Reach], output: int) -> None:
    joined = Reach.union(branches)
    if len({branch.stride for branch in branches}) > 1:
        output = 0
    seen = [branch.at(output) for branch in branches]
    assert joined.at(output) == (min(a for a, _ in seen), max(b for _, b in seen))
    assert joined.stride == max(branch.stride for branch in branches)


def test_an_output_over_all_sees_from_the_first_to_the_last() -> None:
    assert BILINEAR.over(4) == Reach(((-1, 2),), 1)
    assert NEAREST.over(3) == Reach(((0, 1),), 1)


def test_upsampling_and_a_pool_of_its_stride_give_the_stride_of_the_operand() -> None:
    assert NEAREST.stride == Fraction(1, 2)
    assert WINDOW.through(NEAREST) == Reach(((-1, 1), (-1, 1)), 2)
    assert WINDOW.through(NEAREST).stride == 1
    assert NEAREST.through(Reach(((0, 1),), 2)) == ONE


def test_a_window_over_an_upsampled_map_sees_fewer_positions_than_taps() -> None:
    """Three outputs of a nearest upsampling by 2 come from two positions."""
    seen = NEAREST.through(Reach(((-1, 1),), 1))
    assert [seen.at(output) for output in range(4)] == [(-1, 0), (0, 1), (0, 1), (1, 2)]
    assert seen.size == 2
