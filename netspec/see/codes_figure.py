"""The figure of ``netspec see codes``: images found, precision by length of code, and a table."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from netspec.data.dataset import Pixels
from netspec.see.figures import (
    COLOURS,
    INCHES_WIDE,
    INK,
    NORMAL,
    QUIET,
    SMALL,
    bare,
    new_figure,
    place_image,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netspec.see.codes import Codes
    from netspec.see.methods import Method

OF_CODES, OF_PLANES, OF_FEATURES, OF_PIXELS = COLOURS[0], COLOURS[4], COLOURS[2], QUIET
OTHER = COLOURS[1]
"""Frame of an image of another class than the query."""
IMAGES_WIDE = 4.9
"""Width of the images in inches."""
GAP = 0.1
"""Space between images, as a part of their width."""
BETWEEN = 0.55
"""Space between the query and the two groups of images, in images."""


def percent(part: float) -> str:
    """Return a part of 1 as a percentage; ``-`` if it is not known."""
    return "-" if isnan(part) else f"{100 * part:.1f} %"


def rate(value: float) -> str:
    """Return a number with two significant digits, such as ``24,000``."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 1 else f"{value:.2g}"


def name_of(method: Method, row: str) -> str:
    """Return the name of a way to search, as the table and the command show it."""
    names = {"features": f"activations of {row}", "pixels": "pixels"}
    return names.get(method.name) or f"{method.name}, {method.bits} bits"


def figure_of(shown: Codes) -> Figure:
    """Return the figure, without its caption."""
    count, kept = shown.by_codes.shape
    across = 1 + 2 * kept + 2 * BETWEEN
    cell = IMAGES_WIDE / across
    image = shown.pixels.shape[1] / shown.pixels.shape[2]
    down = image + GAP
    height = max(count * down * cell + 0.6, 4.0)
    figure = new_figure(INCHES_WIDE, height)
    widths = [IMAGES_WIDE, INCHES_WIDE - IMAGES_WIDE]
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=widths)[0]
    _images(left.subplots(), shown, image, down, across)
    chart, table = right.subplots(2, 1, height_ratios=[1.1, 1])
    _chart(chart, shown)
    _table(table, shown)
    return figure


def _images(axes: Axes, shown: Codes, image: float, down: float, across: float) -> None:
    bare(axes)
    count, kept = shown.by_codes.shape
    firsts = (1 + BETWEEN, 1 + kept + 2 * BETWEEN)
    titles = (f"nearest codes, {shown.bits} bits", f"nearest activations of {shown.row}")
    axes.text(0.5, -0.15, "query", ha="center", va="bottom", fontsize=SMALL, color=INK)
    for first, title in zip(firsts, titles, strict=True):
        axes.text(
            first + kept / 2, -0.15, title, ha="center", va="bottom", fontsize=SMALL, color=INK
        )
    for place in range(count):
        top = place * down
        _image(axes, shown.pixels[place], 0, top, image)
        for group, first in enumerate(firsts):
            for k in range(kept):
                is_same = bool(shown.is_same[group, place, k])
                _image(axes, shown.found[group, place, k], first + k, top, image, is_same=is_same)
    axes.set_xlim(-0.02, across)
    axes.set_ylim(count * down, -0.9)
    axes.set_aspect("equal", anchor="N")
    if not shown.is_same.all():
        axes.set_xlabel("framed: of another class than the query", fontsize=SMALL, color=OTHER)


def _image(
    axes: Axes, pixels: Pixels, left: float, top: float, height: float, *, is_same: bool = True
) -> None:
    from matplotlib.patches import Rectangle

    place_image(axes, pixels, left, top, 1 - GAP, height - GAP / 2)
    if not is_same:
        frame = Rectangle(
            (left, top), 1 - GAP, height - GAP / 2, fill=False, edgecolor=OTHER, linewidth=1.6
        )
        axes.add_patch(frame)


def _chart(axes: Axes, shown: Codes) -> None:
    """Draw precision against the length of codes, with exact search as lines."""
    if any(isnan(method.precision) for method in shown.methods):
        bare(axes)
        text = "precision is not known:\nthe data has one class"
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=NORMAL, color=QUIET)
        return
    for name, label, colour in (
        ("codes", "codes of an auto-encoder", OF_CODES),
        ("hyperplanes", "random hyperplanes", OF_PLANES),
    ):
        some = [method for method in shown.methods if method.name == name]
        axes.plot(
            [method.bits for method in some],
            [100 * method.precision for method in some],
            marker="o", markersize=5, linewidth=1.8, color=colour, label=label, zorder=3,
        )  # fmt: skip
    exact = {method.name: 100 * method.precision for method in shown.methods if not method.bits}
    for name, label, colour in (
        ("features", f"activations of {shown.row}, exact", OF_FEATURES),
        ("pixels", "pixels, exact", OF_PIXELS),
    ):
        axes.axhline(exact[name], color=colour, linewidth=1.2, linestyle="--", label=label)
    lengths = sorted({method.bits for method in shown.methods} - {0})
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    axes.set_xlim(lengths[0] * 0.85, lengths[-1] * 1.18)
    axes.set_ylim(top=100)
    axes.set_xlabel("bits per image", fontsize=SMALL)
    axes.set_title("precision at 6 (of the query's class), %", fontsize=SMALL)
    axes.legend(loc="lower right", fontsize=SMALL, handlelength=1.6, borderaxespad=0.2)


def _table(axes: Axes, shown: Codes) -> None:
    bare(axes)
    head = ("", "precision", "bytes", "queries/s")
    rows = [
        (name_of(method, shown.row), percent(method.precision), f"{method.bytes:,}",
         rate(method.queries_per_second))
        for method in shown.methods
    ]  # fmt: skip
    edges = (0.0, 0.61, 0.77, 1.0)
    colours = {
        "codes": OF_CODES, "hyperplanes": OF_PLANES, "features": OF_FEATURES, "pixels": OF_PIXELS,
    }  # fmt: skip
    for number, row in enumerate([head, *rows]):
        method = shown.methods[number - 1] if number else None
        is_shown = method is not None and (method.name, method.bits) == ("codes", shown.bits)
        for place, text in enumerate(row):
            axes.text(
                edges[place], -number, text, ha="right" if place else "left", va="center",
                fontsize=SMALL, weight="bold" if is_shown else "normal",
                color=QUIET if method is None else colours[method.name] if not place else INK,
            )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(-len(rows) - 0.5, 0.5)
