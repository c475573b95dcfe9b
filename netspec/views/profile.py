"""The times of a compiled net: a table of its stages, slowest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

Style = Callable[[str, str], str]

HEADS = ("stage", "implementation", "ms", "share", "GFLOP/s", "GB/s", "of floor")
WIDTHS = (24, 24, 8, 7, 8, 7, 8)


class Layer(NamedTuple):
    """The measurements of a stage.

    ``gflop`` counts a multiply-add as two operations; ``megabytes`` are those read and written.
    """

    stage: str
    implementation: str
    milliseconds: float
    gflop: float
    megabytes: float


def as_lines(
    layers: Sequence[Layer], gflop_per_s: float, gb_per_s: float, style: Style
) -> Iterator[str]:
    """Yield a line for each stage, then their sum.

    The floor of a stage is the time that its operations or its bytes take at the machine's rates,
    whichever is longer; the floor of the sum is the sum of the floors.  ``of floor`` is the floor
    divided by the measured time.

    Args:
        layers: the stages, in any order.
        gflop_per_s: the machine's rate of matrix products.
        gb_per_s: its copy bandwidth.
        style: returns a text with the style of a role.
    """
    total = sum(layer.milliseconds for layer in layers)
    floors = {layer: _floor(layer, gflop_per_s, gb_per_s) for layer in layers}
    yield style(_row(HEADS), "quiet")
    for layer in sorted(layers, key=lambda layer: -layer.milliseconds):
        yield _line(layer, total, floors[layer])
    gflop = sum(layer.gflop for layer in layers)
    megabytes = sum(layer.megabytes for layer in layers)
    whole = Layer("total", "", total, gflop, megabytes)
    yield style(_line(whole, total, sum(floors[layer] for layer in layers)), "strong")


def _floor(layer: Layer, gflop_per_s: float, gb_per_s: float) -> float:
    """Return the floor of a stage in milliseconds."""
    return max(layer.gflop / gflop_per_s * 1e3, layer.megabytes / gb_per_s)


def _line(layer: Layer, total: float, floor: float) -> str:
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
            f"{floor / time:.0%}" if floor else "",
        )
    )


def _row(cells: Sequence[str]) -> str:
    shown = []
    for i, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True)):
        fitting = cell if len(cell) <= width else f"{cell[: width - 1]}…"
        shown.append(f"{fitting:<{width}}" if i < 2 else f"{fitting:>{width}}")
    return "  ".join(shown).rstrip()
