from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from netspec.lowering.arena import ALIGNMENT, Lifetime, arrange


@st.composite
def lifetimes(draw: st.DrawFn) -> Lifetime:
    first = draw(st.integers(-1, 12))
    return Lifetime(draw(st.integers(1, 400)), first, draw(st.integers(first, 13)))


def rounded(size: int) -> int:
    return next(n for n in range(size, size + ALIGNMENT) if n % ALIGNMENT == 0)


@given(st.lists(lifetimes(), max_size=14))
def test_buffers_that_are_alive_at_once_lie_apart(buffers: list[Lifetime]) -> None:
    arena = arrange(buffers)
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for offset in arena.offsets)
    for (i, a), (j, b) in combinations(enumerate(buffers), 2):
        if set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1)):
            left, right = arena.offsets[i], arena.offsets[j]
            assert left + a.size <= right or right + b.size <= left, (i, j)
    for offset, buffer in zip(arena.offsets, buffers, strict=True):
        assert offset + buffer.size <= arena.size


@given(st.lists(lifetimes(), max_size=14))
def test_the_size_is_between_what_one_step_needs_and_all_side_by_side(
    buffers: list[Lifetime],
) -> None:
    arena = arrange(buffers)
    needed = [
        sum(rounded(b.size) for b in buffers if b.first <= step <= b.last) for step in range(-1, 14)
    ]
    assert arena.bound == max(needed)
    assert arena.total == sum(rounded(b.size) for b in buffers)
    assert arena.bound <= arena.size <= arena.total


def test_a_chain_takes_as_much_as_its_widest_step() -> None:
    sizes = [640, 1280, 320, 64, 1280, 640]
    chain = [Lifetime(size, n - 1, n) for n, size in enumerate(sizes)]
    arena = arrange(chain)
    assert arena.size == arena.bound == 1280 + 640


def test_the_smallest_gap_that_fits_is_taken() -> None:
    around = [
        Lifetime(640, 0, 9),  # 0 to 640
        Lifetime(576, 0, 1),  # 640 to 1216, free later
        Lifetime(512, 0, 9),  # 1216 to 1728
        Lifetime(448, 0, 1),  # 1728 to 2176, free later
        Lifetime(384, 0, 9),  # 2176 to 2560
        Lifetime(320, 5, 6),  # fits both gaps, the second one best
    ]
    arena = arrange(around)
    assert arena.offsets == (0, 640, 1216, 1728, 2176, 1728)
    assert arena.size == 2560


def test_nothing_takes_nothing() -> None:
    assert arrange([]) == ((), 0, 0, 0)
