"""Marks of a drawing in points of 1/72 inch, and their files: SVG, or PNG and PDF by matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import Any

from netspec.language.diagnostics import printable

DPI = 200
"""Dots per inch of a PNG."""

Point = tuple[float, float]
"""(x, y); x grows to the right and y downwards, as in SVG."""

FAMILY = "Helvetica, Arial, sans-serif"
CHARACTER = 0.6
"""Mean width of a character of a text, as a part of its size; the fonts of both forms are
narrower."""
NARROWER = 0.9
"""Size of a text of matplotlib's font, DejaVu Sans, that is as wide as the same text in Arial."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through points, or a polygon if it is closed."""

    points: tuple[Point, ...]
    stroke: str
    width: float = 0.6
    fill: str = ""
    opacity: float = 1.0
    is_dashed: bool = False
    is_closed: bool = False


@dataclass(frozen=True, kw_only=True)
class Text:
    """A line of text; ``at`` is the left end, the middle or the right end of its baseline."""

    at: Point
    text: str
    size: float
    fill: str
    anchor: str = "middle"
    is_bold: bool = False


@dataclass(frozen=True, kw_only=True)
class Group:
    """Marks of one thing: a title, which a browser shows next to the pointer, and data of it."""

    kind: str
    title: str
    marks: tuple[Line | Text, ...]
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A drawing as groups of marks; later groups are drawn over earlier ones.

    Attributes:
        title: For readers who do not see it.
        width: In points.
        height: In points.
        groups: The marks.
    """

    title: str
    width: float
    height: float
    groups: tuple[Group, ...]

    @property
    def marks(self) -> Iterator[Line | Text]:
        """All marks in the order of drawing."""
        return (mark for group in self.groups for mark in group.marks)


def width_of(text: str, size: float) -> float:
    """Return the width of a text in points, estimated by its number of characters."""
    return CHARACTER * size * len(text)


# --------------------------------------------------------------------------------------------- SVG


def as_svg(picture: Picture) -> str:
    """Return a picture as an SVG file."""
    return "\n".join(_svg_lines(picture)) + "\n"


def _svg_lines(picture: Picture) -> Iterator[str]:
    width, height = _number(picture.width), _number(picture.height)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="{FAMILY}" '
        'stroke-linejoin="round">'
    )
    yield f"<title>{_escaped(picture.title)}</title>"
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    for group in picture.groups:
        data = "".join(f' data-{key}="{_escaped(value)}"' for key, value in group.data.items())
        yield f'<g class="{group.kind}"{data}><title>{_escaped(group.title)}</title>'
        yield from map(_svg_mark, group.marks)
        yield "</g>"
    yield "</svg>"


def _svg_mark(mark: Line | Text) -> str:
    if isinstance(mark, Text):
        x, y = map(_number, mark.at)
        bold = ' font-weight="bold"' if mark.is_bold else ""
        return (
            f'<text x="{x}" y="{y}" font-size="{_number(mark.size)}" text-anchor="{mark.anchor}" '
            f'fill="{mark.fill}"{bold} stroke="#ffffff" stroke-width="2" '
            f'paint-order="stroke">{_escaped(mark.text)}</text>'
        )
    points = " ".join(f"{_number(x)},{_number(y)}" for x, y in mark.points)
    dashed = ' stroke-dasharray="2.2 1.8"' if mark.is_dashed else ""
    opacity = f' fill-opacity="{_number(mark.opacity)}"' if mark.fill else ""
    return (
        f'<{"polygon" if mark.is_closed else "polyline"} points="{points}" '
        f'fill="{mark.fill or "none"}"{opacity} stroke="{mark.stroke}" '
        f'stroke-width="{_number(mark.width)}"{dashed}/>'
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _escaped(text: str) -> str:
    return escape(printable(text))


# ------------------------------------------------------------------------------------- PNG and PDF


def as_image(picture: Picture, form: str) -> bytes:
    """Return a picture as a file of the form ``png`` or ``pdf``.

    Raises:
        DataError: matplotlib is not installed.
    """
    from netspec.views.bench_chart import require_matplotlib

    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(picture.width / 72, picture.height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    _add(axes, picture.marks)
    written = BytesIO()
    left_out = {"png": "Software", "pdf": "CreationDate"}[form]  # equal drawings give equal files
    with rc_context({"pdf.fonttype": 42}):  # TrueType: programs can search and edit the text
        figure.savefig(
            written, format=form, dpi=DPI, metadata={left_out: None}, facecolor="#ffffff"
        )
    return written.getvalue()


def _add(axes: Any, marks: Iterable[Line | Text]) -> None:
    from matplotlib.patches import Polygon

    # an outline, as in the SVG, would turn the text of a PDF into shapes
    background = {"facecolor": "#ffffff", "alpha": 0.7, "linewidth": 0, "pad": 0.3}
    for order, mark in enumerate(marks):
        if isinstance(mark, Text):
            axes.text(
                *mark.at,
                printable(mark.text),
                fontsize=NARROWER * mark.size,
                color=mark.fill,
                family="DejaVu Sans",  # comes with matplotlib
                ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
                va="baseline",
                fontweight="bold" if mark.is_bold else "normal",
                parse_math=False,
                bbox=background,
                zorder=order,
            )
        else:
            fill = (mark.fill, mark.opacity) if mark.fill else "none"
            style = (0, (2.2 / mark.width, 1.8 / mark.width)) if mark.is_dashed else "solid"
            patch = Polygon(
                mark.points,
                closed=mark.is_closed,
                facecolor=fill,
                edgecolor=mark.stroke,
                linewidth=mark.width,
                linestyle=style,
                joinstyle="round",
                zorder=order,
            )
            axes.add_patch(patch)
