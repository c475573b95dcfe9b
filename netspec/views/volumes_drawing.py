"""The drawing of a net's layers as volumes, as in AlexNet's Figure 2."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from math import sqrt

from netspec.errors import DataError
from netspec.files.kinds import PDF, PNG, SVG
from netspec.ir.columns import column_count
from netspec.ir.words import counted
from netspec.language.diagnostics import printable
from netspec.net import Net
from netspec.views.base_drawing import BaseDrawing
from netspec.views.drawing import EXCHANGE, FILLS, INK, LINE, QUIET, grouped
from netspec.views.marks import Group, Line, Picture, Point, Text, as_image, as_svg, width_of
from netspec.views.volumes import Volume, volumes
from netspec.views.volumes_layout import (
    LINE_HEIGHT,
    MARGIN,
    NORMAL,
    SMALL,
    Box,
    Strip,
    between,
    strips,
)

FORMS = {"svg": SVG, "png": PNG, "pdf": PDF}

MOST = 500
"""Volumes that are laid out within seconds; one that is split counts once per column."""
LARGE = 14.0
"""Size of the name of the net in points."""
NARROW = 100
"""Characters per line of the title."""
KERNEL, CROSSING = "#0550ae", EXCHANGE["color"]
INPUT, MODULE = "#eef1f4", "#fdf0d5"
SHADES = (1.0, 0.55, 0.3)
"""Opacities of the front, the top and the right side."""


class Volumes(BaseDrawing):
    """The layers of a net as boxes in proportion, with their kernels; a notebook shows it.

    Args:
        net: A net whose rows are a chain. Auxiliary heads are not drawn.

    Raises:
        SpecError: The net has symbols.
        DataError: The rows of the net are not a chain, or the net is too large.
    """

    forms = FORMS

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.picture = picture(net)

    def rendered(self, form: str) -> bytes:
        """Return the drawing as the content of a file of a form.

        Raises:
            DataError: The form is not SVG, and matplotlib is not installed.
        """
        return as_svg(self.picture).encode() if form == "svg" else as_image(self.picture, form)

    def __repr__(self) -> str:
        drawn = [group for group in self.picture.groups if group.kind == "volume"]
        number = sum("repeated" not in group.data for group in drawn)
        return f"<Drawing of {self.net.name}, {counted(number, 'volume')}>"


def picture(net: Net) -> Picture:
    """Return the drawing of a net's volumes; raise the errors of :class:`Volumes`."""
    drawn = volumes(net)
    count = sum(volume.columns for volume in drawn)
    if count > MOST:
        raise DataError(
            f"{net.name} is too large to be drawn as volumes: it has {count:,}, and at most "
            f"{MOST:,} are laid out within seconds\n  draw its graph: leave out --style volumes"
        )
    title = list(_title(net))
    placed = strips(drawn, title[-1].at[1] + 1.5 * LINE_HEIGHT)
    groups = [Group(kind="title", title=net.name, marks=tuple(title))]
    for number, strip in enumerate(placed):
        groups += _marks(strip, is_first=number == 0)
    titles = max(text.at[0] + width_of(text.text, text.size) for text in title)
    width = max(titles, *(strip.right for strip in placed)) + MARGIN
    shown = f"The layers of {net.name} as volumes"
    return Picture(shown, width, placed[-1].bottom + MARGIN, tuple(groups))


def _marks(strip: Strip, *, is_first: bool) -> Iterator[Group]:
    for place, boxes in enumerate(strip.boxes):
        for box in boxes:
            yield _volume(box, is_repeated=place == 0 and not is_first)
    for before, boxes in pairwise(strip.boxes):
        yield from _links(before, boxes)
    for boxes in strip.boxes:
        yield from map(_sizes, boxes)
    yield from _captions(strip)


def _volume(box: Box, *, is_repeated: bool) -> Group:
    fill = (FILLS | {"input": INPUT, "module": MODULE})[box.volume.kind]
    sides = [
        (SHADES[1], ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1))),
        (SHADES[2], ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1))),
        (SHADES[0], ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0))),
    ]
    marks = [
        Line(
            points=tuple(box.at(*corner) for corner in corners),
            stroke=LINE,
            fill=fill,
            opacity=opacity,
            is_closed=True,
        )
        for opacity, corners in sides
    ]
    for part in list(accumulate(box.volume.slices))[:-1]:  # where the next branch begins
        share = part / box.volume.shape.channels
        edge = tuple(box.at(share, *corner) for corner in ((1, 0), (0, 0), (0, 1)))
        marks.append(Line(points=edge, stroke=LINE, width=0.4))
    return Group(
        kind="volume",
        title=_described(box.volume),
        marks=tuple(marks),
        data=_data(box) | ({"repeated": "yes"} if is_repeated else {}),
    )


def _data(box: Box) -> dict[str, str]:
    data = {"row": box.volume.row, "shape": str(box.volume.shape)}
    return data | ({"column": f"{box.column + 1}"} if box.volume.columns > 1 else {})


def _sizes(box: Box) -> Group:
    """Return the sizes next to the edges of a volume."""
    x, y = box.at(0.5, 1, 0)
    texts = [_number(box.volume.shape[-1], (x, y + SMALL), "middle")]
    if not box.is_bar:
        height, width = box.volume.shape[:2]
        left, low = box.at(0, 0.85, 0)
        texts.append(_number(height, (left - 2, low + 2), "end"))
        left, high = box.at(0, 0, 0.5)
        texts.append(_number(width, (left - 2, high), "end"))
    return Group(kind="sizes", title=_described(box.volume), marks=tuple(texts))


def _captions(strip: Strip) -> Iterator[Group]:
    texts = []
    for box, *_ in strip.boxes:
        at = box.x + box.right / 2, strip.baseline
        texts.append(Text(at=at, text=box.volume.row, size=NORMAL, fill=INK, is_bold=True))
    for (before, *_), (box, *_) in pairwise(strip.boxes):
        for line, word in enumerate(box.volume.words, 1):
            at = between(before, box), strip.baseline + line * LINE_HEIGHT
            texts.append(Text(at=at, text=word, size=SMALL, fill=QUIET))
    yield Group(kind="captions", title="rows and operators", marks=tuple(texts))
    first = next((boxes for boxes in strip.boxes if len(boxes) > 1), [])
    names = tuple(
        Text(at=(box.x, box.top - 4), text=text, size=SMALL, fill=QUIET, anchor="start")
        for box in first
        for text in [f"column {box.column + 1}"]
    )
    if names:
        yield Group(kind="columns", title="columns", marks=names)


def _links(before: Sequence[Box], boxes: Sequence[Box]) -> Iterator[Group]:
    """Yield the kernels and lines from one volume to the next, of each pair of columns.

    Columns exchange along the lines between two of them, and where they meet.
    """
    exchanges = boxes[0].volume.exchanges
    is_spread = len(before) == 1 and _has_room(before[0], boxes)
    with_kernel: set[tuple[int, float]] = set()
    for box in boxes:
        for tail in before:
            is_apart = len(before) > 1 and len(boxes) > 1 and tail.column != box.column
            if is_apart and not exchanges:
                continue
            is_crossing = bool(exchanges) and (is_apart or len(boxes) == 1)
            spot = (box.column + 1) / (len(boxes) + 1) if is_spread else 0.5
            is_drawn = is_apart or (tail.column, spot) in with_kernel
            if not is_drawn:
                with_kernel.add((tail.column, spot))
            lines = _lines(tail, box, spot, CROSSING if is_crossing else KERNEL, is_drawn)
            data = {"from": tail.volume.row, "to": box.volume.row}
            if is_crossing:
                data["exchange"] = " ".join(exchanges)
            shown = "columns exchange: " if is_crossing else ""
            title = f"{shown}{tail.volume.row} to {box.volume.row}"
            kind = "crossing" if is_crossing else "link"
            yield Group(kind=kind, title=title, marks=tuple(lines), data=data)


def _has_room(tail: Box, boxes: Sequence[Box]) -> bool:
    """Return True if a volume has room for a kernel per column below each other, with numbers."""
    kernel = boxes[0].volume.kernel
    if kernel is None or tail.is_bar:
        return False
    down = tail.down * sqrt(kernel.height / tail.volume.shape[0])
    return (len(boxes) + 1) * (down + SMALL) <= tail.down


def _lines(tail: Box, box: Box, spot: float, colour: str, is_drawn: bool) -> Iterator[Line | Text]:
    """Yield the kernel in a volume, and the dashed lines from its corners to the next volume.

    Args:
        tail: The volume before.
        box: The volume that is computed.
        spot: Where the kernel is, as a part of the height.
        colour: Of the lines.
        is_drawn: The kernel is already drawn, for another column.
    """
    kernel = box.volume.kernel
    if kernel is None or tail.is_bar:
        corners = [((1, 0, 1), (0, 0, 0)), ((1, 1, 0), (0, 1, 0))]
        for one, other in corners:
            yield _dashed(tail.at(*one), box.at(*other), colour)
        return
    height, width = tail.volume.shape[:2]
    # roots of sizes are drawn: so are those of the kernel
    down, back = min(1.0, sqrt(kernel.height / height)), min(1.0, sqrt(kernel.width / width))
    deep = min(1.0, sqrt(kernel.channels / tail.volume.shape.channels))
    top = min(max(spot - down / 2, 0.0), 1 - down)
    near = (1 - back) / 2
    front = [(top, near), (top + down, near), (top + down, near + back), (top, near + back)]
    if not is_drawn:
        for a, b in ((front[0], front[1]), (front[0], front[3])):
            points = [tail.at(1 - deep, *a), tail.at(1, *a), tail.at(1, *b), tail.at(1 - deep, *b)]
            yield _pane(points, 0.1, 0.25)
        yield _pane([tail.at(1, *corner) for corner in front], 0.35, 0.6)
    point = box.at(0, 0.5, 0.5)
    for corner in front if not is_drawn else front[::2]:
        yield _dashed(tail.at(1, *corner), point, colour)
    if not is_drawn:
        (x, y), size = tail.at(1, top + down / 2, near), f"{kernel.height}"
        yield Text(at=(x - 1.5, y + 2.5), text=size, size=SMALL, fill=KERNEL, anchor="end")
        (x, y), size = tail.at(1, top + down, near + back / 2), f"{kernel.width}"
        yield Text(at=(x + 1, y + 6), text=size, size=SMALL, fill=KERNEL, anchor="start")


def _pane(points: Sequence[Point], opacity: float, width: float) -> Line:
    return Line(
        points=tuple(points),
        stroke=KERNEL,
        fill=KERNEL,
        opacity=opacity,
        width=width,
        is_closed=True,
    )


def _dashed(start: Point, end: Point, colour: str) -> Line:
    return Line(points=(start, end), stroke=colour, width=0.5, is_dashed=True)


def _number(size: int, at: Point, anchor: str) -> Text:
    return Text(at=at, text=str(size), size=SMALL, fill=INK, anchor=anchor)


def _described(volume: Volume) -> str:
    column = f" on each of {volume.columns} columns" if volume.columns > 1 else ""
    return f"{volume.row}: {volume.shape}{column}"


def _title(net: Net) -> Iterator[Text]:
    totals = net.totals
    counts = f"{grouped(totals.parameters)} parameters, {grouped(totals.macs)} multiply-accumulates"
    scale = "lengths are proportional to the square roots of sizes"
    if column_count(net.graph) > 1:
        scale += "; columns exchange channels along orange lines"
    lines = [*textwrap.wrap(printable(net.title), NARROW), f"{counts} per image", scale]
    y = MARGIN + LARGE / 2
    yield Text(at=(MARGIN, y), text=net.name, size=LARGE, fill=INK, anchor="start", is_bold=True)
    for line, text in enumerate(lines, 1):
        at = MARGIN, y + 3 + line * (LINE_HEIGHT + 0.5)
        yield Text(at=at, text=text, size=SMALL, fill=QUIET, anchor="start")
