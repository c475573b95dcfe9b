from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.views import alignment
from netspec.views.alignment import AlignedRow, align, common

words = st.text("abc", max_size=7)
labels = st.lists(st.sampled_from("uvwxyz"), unique=True, max_size=6)


@st.composite
def places(draw: st.DrawFn) -> list[AlignedRow]:
    return [AlignedRow(label, draw(st.sampled_from("abc"))) for label in draw(labels)]


def longest(a: str, b: str) -> int:
    """The length of a longest common subsequence, by trying all."""

    def subsequences(text: str) -> set[str]:
        return {"".join(c) for n in range(len(text) + 1) for c in combinations(text, n)}

    return max(map(len, subsequences(a) & subsequences(b)))


@given(words, words)
def test_a_common_subsequence_is_one_and_the_longest(a: str, b: str) -> None:
    pairs = common(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(pairs))
    assert len(pairs) == longest(a, b)
    assert common(b, a) == [(j, i) for i, j in pairs]


def test_rows_that_agree_stand_at_the_first_place() -> None:
    assert common("aab", "aaab") == [(0, 0), (1, 1), (2, 3)]


def test_very_many_places_are_compared_by_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "MAX_MATCHES", 3)
    assert common("aab", "baba") == [(1, 1), (2, 2)]
    assert common("abc", "xabc") == [(0, 1), (1, 2), (2, 3)]


@given(places(), places())
def test_every_row_stands_once_and_in_order(a: list[AlignedRow], b: list[AlignedRow]) -> None:
    pairs = list(align(a, b))
    assert [i for i, _ in pairs if i is not None] == list(range(len(a)))
    assert [j for _, j in pairs if j is not None] == list(range(len(b)))
    assert (None, None) not in pairs
    for i, j in pairs:
        if i is not None and j is not None:
            assert a[i].label == b[j].label or a[i].kind == b[j].kind


@given(places(), places())
def test_the_mirrored_alignment_has_the_mirrored_pairs(
    a: list[AlignedRow], b: list[AlignedRow]
) -> None:
    assert {(j, i) for i, j in align(a, b)} == set(align(b, a))


@given(places(), places())
def test_as_many_labels_as_can_be_are_matched(a: list[AlignedRow], b: list[AlignedRow]) -> None:
    matched = [(i, j) for i, j in align(a, b) if i is not None and j is not None]
    same = sum(a[i].label == b[j].label for i, j in matched)
    assert same == longest("".join(p.label for p in a), "".join(p.label for p in b))


def test_labels_go_before_kinds_and_what_is_removed_before_what_is_added() -> None:
    a = [AlignedRow("x", "conv"), AlignedRow("y", "pool"), AlignedRow("z", "conv")]
    b = [AlignedRow("z", "pool"), AlignedRow("w", "conv")]
    assert list(align(a, b)) == [(0, None), (1, None), (2, 0), (None, 1)]
    assert list(align([AlignedRow("x", "conv")], [AlignedRow("y", "fc")])) == [(0, None), (None, 0)]
