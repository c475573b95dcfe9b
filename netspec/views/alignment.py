"""Align the rows of two nets."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

MAX_MATCHES = 1_000_000
"""With more pairs of equal elements, sequences are compared position by position."""


class AlignedRow(NamedTuple):
    """The label and kind of a row; rows of the same kind can be matched."""

    label: str
    kind: str


Pair = tuple[int | None, int | None]
"""Positions in the first and the second net; None where a net does not have the row."""


def align(a: Sequence[AlignedRow], b: Sequence[AlignedRow]) -> Iterator[Pair]:
    """Yield pairs that contain every row of both nets once, in order.

    Rows of the same label are matched first, as many as keep their order. Between two of them, rows
    of the same kind are matched. The remaining rows of ``a`` come before those of ``b``.
    """
    labelled = common([place.label for place in a], [place.label for place in b])
    for (i, j), (next_i, next_j) in pairwise([(-1, -1), *labelled, (len(a), len(b))]):
        if i >= 0:
            yield i, j
        left, right = range(i + 1, next_i), range(j + 1, next_j)
        alike = common([a[x].kind for x in left], [b[y].kind for y in right])
        for (x, y), (next_x, next_y) in pairwise([(-1, -1), *alike, (len(left), len(right))]):
            if x >= 0:
                yield left[x], right[y]
            yield from ((row, None) for row in left[x + 1 : next_x])
            yield from ((None, row) for row in right[y + 1 : next_y])


def common(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Return the positions of a longest common subsequence; for ``b, a`` they are mirrored.

    Hunt and Szymanski 1977, by the positions where the two agree.
    """
    if list(b) < list(a):
        return [(i, j) for j, i in common(b, a)]
    counted_a, counted_b = Counter(a), Counter(b)
    if a == b or sum(n * counted_b[key] for key, n in counted_a.items()) > MAX_MATCHES:
        return [(i, i) for i, (x, y) in enumerate(zip(a, b, strict=False)) if x == y]
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for j in reversed(range(len(b))):
        positions[b[j]].append(j)
    ends: list[int] = []  # where the earliest common subsequence of each length ends in b
    chains: list[_Chain] = []
    for i, key in enumerate(a):
        for j in positions.get(key, ()):
            length = bisect_left(ends, j)
            if length < len(ends) and ends[length] == j:
                continue
            ends[length : length + 1] = [j]
            chains[length : length + 1] = [_Chain(i, j, chains[length - 1] if length else None)]
    pairs = []
    chain = chains[-1] if chains else None
    while chain is not None:
        pairs.append((chain.i, chain.j))
        chain = chain.before
    return pairs[::-1]


class _Chain(NamedTuple):
    """A common subsequence by its last pair; a list of them would be copied at every step."""

    i: int
    j: int
    before: _Chain | None
