"""The times of a compiled net: a table of its stages, slowest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

Style = Callable[[str, str], str]

HEADS = ("stage", "implementation", "ms", "share", "GFLOP/s", "GB/s", "of floor")
WIDTHS = (24, 24, 8, 7, 8, 7, 8)


class Layer(NamedTuple):
    """The measurements of a stage.

    ``gflop`` counts a multiply-add as two operations; ``megabytes`` are those read and written;
    ``floor`` is the least time possible, in milliseconds.
    """

    stage: str
    implementation: str
    milliseconds: float
    gflop: float
    megabytes: float
    floor: float


def as_lines(layers: Sequence[Layer], style: Style) -> Iterator[str]:
    """Yield a line for each stage, then their sum.

    ``of floor`` is the floor divided by the measured time; the floor of the sum is the sum of the
    floors.

    Args:
        layers: the stages, in any order.
        style: returns a text with the style of a role.
    """
    total = sum(layer.milliseconds for layer in layers)
    yield style(_row(HEADS), "quiet")
    for layer in sorted(layers, key=lambda layer: -layer.milliseconds):
        yield _line(layer, total)
    gflop = sum(layer.gflop for layer in layers)
    megabytes = sum(layer.megabytes for layer in layers)
    floor = sum(layer.floor for layer in layers)
    whole = Layer("total", "", total, gflop, megabytes, floor)
    yield style(_line(whole, total), "strong")


def _line(layer: Layer, total: float) -> str:
    time = layer.milliseconds
    if not time:
        return _row((layer.stage, layer.implementation, "0", *[""] * 4))
    return _row(
        (
            layer.stage,
            layer.implementation,
            f"{time:,.3f}",
            f"{time / total:.1%}",
            f"{layer.gflop / time * 1e3:,.0f}" if layer.gflop else "",
            f"{layer.megabytes / time:,.1f}" if layer.megabytes else "",
            f"{layer.floor / time:.0%}" if layer.floor else "",
        )
    )


def _row(cells: Sequence[str]) -> str:
    shown = []
    for i, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True)):
        fitting = cell if len(cell) <= width else f"{cell[: width - 1]}…"
        shown.append(f"{fitting:<{width}}" if i < 2 else f"{fitting:>{width}}")
    return "  ".join(shown).rstrip()
