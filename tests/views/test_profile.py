"""The table of a net's stages, by time."""

from __future__ import annotations

from netspec.views.profile import Layer, as_lines

LAYERS = [
    Layer("C1", "conv, fused", 2.0, 0.2, 10.0, 1.0),
    Layer("C1.lrn", "shifted sums", 6.0, 0.0, 30.0, 3.0),
    Layer("a_row_with_a_name_longer_than_the_column", "copy", 0.0, 0.0, 0.0, 0.0),
]


def rows() -> list[list[str]]:
    lines = as_lines(LAYERS, lambda text, role: text)
    return [line.split() for line in lines]


def test_the_slowest_stage_comes_first_and_the_sum_last() -> None:
    first = [row[0] for row in rows()]
    assert first[1:3] == ["C1.lrn", "C1"]
    assert first[3].startswith("a_row_with") and first[3].endswith("…")  # noqa: PT018
    assert first[4] == "total"


def test_shares_rates_and_floors() -> None:
    _, lrn, conv, _, total = rows()
    assert lrn[-4:] == ["6.000", "75.0%", "5.0", "50%"]  # 3 of 6 ms
    assert conv[-5:] == ["2.000", "25.0%", "100", "5.0", "50%"]  # 1 of 2 ms
    assert total[-5:] == ["8.000", "100.0%", "25", "5.0", "50%"]


def test_lines_fit_and_the_sum_is_strong() -> None:
    lines = list(as_lines(LAYERS, lambda text, role: f"{role}:{text}"))
    assert lines[-1].startswith("strong:total")
    assert all(len(line.removeprefix("strong:").removeprefix("quiet:")) <= 100 for line in lines)
