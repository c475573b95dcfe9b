"""The places of volumes on a page: boxes in oblique projection, kernels, and lines between them.

Channels go to the right, the height goes down, and the width goes back, which is to the upper right
(as in AlexNet's Figure 2).  A length is proportional to the square root of its size, so that 3 and
4096 fit on one page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import sqrt

from netspec.files.kinds import PDF, PNG, SVG
from netspec.ir.columns import column_count
from netspec.ir.words import counted
from netspec.language.diagnostics import printable
from netspec.net import Net
from netspec.views.base_drawing import BaseDrawing
from netspec.views.drawing import EXCHANGE, FILLS, INK, LINE, QUIET, grouped
from netspec.views.marks import Group, Line, Picture, Point, Text, as_image, as_svg, width_of
from netspec.views.volumes import Volume, volumes

FORMS = {"svg": SVG, "png": PNG, "pdf": PDF}

SCALES = (
    *((7.0 * scale, 5.0 * scale) for scale in (2.0, 1.8, 1.6, 1.4, 1.2)),
    *((7.0, channels / 10) for channels in range(50, 10, -2)),
    *((unit / 10, 1.0) for unit in range(68, 42, -2)),
)
"""Lengths in points of a height or width of 1, and of one channel; a size of n is sqrt(n) times as
long.  The first pair that fits on the page is used, or the last."""
NEURON = 0.3
"""Length of one element of a vector, as a part of that of a height of 1."""
BACK = (0.4, -0.32)
"""Where a length of 1 of the width goes."""
BAR = (7.0, 16.0)
"""Width of a bar, and the length that goes back, in points."""
PAGE = (842.0, 560.0)
"""Largest width and height in points: the width is that of A4 in landscape."""

NARROW = 100
"""Characters per line of the title."""

LARGE, NORMAL, SMALL = 14.0, 8.5, 8.0
MARGIN, GAP, LINE_HEIGHT = 16.0, 18.0, 9.5
KERNEL, CROSSING = "#0550ae", EXCHANGE["color"]
MODULE = "#fdf0d5"
SHADES = (1.0, 0.55, 0.3)
"""Opacities of the front, the top and the right side."""


@dataclass
class Box:
    """A volume of one column at its place; ``x`` and ``y`` are the middle of its left side."""

    volume: Volume
    unit: float
    channel: float
    column: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def is_bar(self) -> bool:
        return not self.volume.shape.is_map

    @cached_property
    def right(self) -> float:
        """Length of its channels."""
        return BAR[0] if self.is_bar else self.channel * sqrt(self.volume.shape.channels)

    @cached_property
    def down(self) -> float:
        """Length of its height."""
        size = self.volume.shape[0]
        return self.unit * (NEURON if self.is_bar else 1.0) * sqrt(size)

    @cached_property
    def back(self) -> Point:
        """Offset of its back from its front."""
        length = BAR[1] if self.is_bar else self.unit * sqrt(self.volume.shape[1])
        return BACK[0] * length, BACK[1] * length

    def at(self, channel: float, row: float, column: float) -> Point:
        """Return the point at parts of its channels, height and width, each from 0 to 1.

        The middle of the box's left side is at ``(x, y)``.
        """
        dx, dy = self.back
        return (
            self.x + channel * self.right + column * dx,
            self.y + (row - 0.5) * self.down + (column - 0.5) * dy,
        )

    @property
    def end(self) -> float:
        """The rightmost x."""
        return self.x + self.right + self.back[0]

    @property
    def top(self) -> float:
        return self.at(0, 0, 1)[1]

    @property
    def bottom(self) -> float:
        return self.at(0, 1, 0)[1]

    @property
    def text_width(self) -> float:
        """Width of the sizes at its left."""
        return max(width_of(str(size), SMALL) for size in self.volume.shape[:2])


class Volumes(BaseDrawing):
    """The layers of a net as boxes in proportion, with their kernels; a notebook shows it.

    Args:
        net: A net whose rows are a chain. Auxiliary heads are not drawn.

    Raises:
        SpecError: The net has symbols.
        DataError: The rows of the net are not a chain.
    """

    forms = FORMS

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.picture = _Layout(net).picture()

    def rendered(self, form: str) -> bytes:
        """Return the drawing as the content of a file of a form.

        Raises:
            DataError: The form is not SVG, and matplotlib is not installed.
        """
        return as_svg(self.picture).encode() if form == "svg" else as_image(self.picture, form)

    def __repr__(self) -> str:
        number = sum(group.kind == "volume" for group in self.picture.groups)
        return f"<Drawing of {self.net.name}, {counted(number, 'volume')}>"


class _Layout:
    def __init__(self, net: Net) -> None:
        self.net = net
        self.volumes = volumes(net)
        self.columns = max(volume.columns for volume in self.volumes)
        self.title = list(_title(net))
        for unit, channel in SCALES:
            self._place(unit, channel)
            if self.width <= PAGE[0] and self.height <= PAGE[1]:
                break

    # -------------------------------------------------------------------------------------- places

    def _place(self, unit: float, channel: float) -> None:
        """Place the boxes of each volume from left to right, and columns above each other."""
        self.boxes = [
            [Box(volume, unit, channel, column) for column in range(volume.columns)]
            for volume in self.volumes
        ]
        split = [boxes[0] for boxes in self.boxes if len(boxes) > 1]
        whole = [boxes[0] for boxes in self.boxes if len(boxes) == 1]
        lane = max((box.bottom - box.top for box in split), default=0.0) + 3 * LINE_HEIGHT
        tall = max((box.bottom - box.top for box in whole), default=0.0) + 2 * LINE_HEIGHT
        body = max(self.columns * lane if split else 0.0, tall)
        self.start = MARGIN + LINE_HEIGHT * (len(self.title) + 1.5)
        for boxes in self.boxes:
            for box in boxes:
                place = (box.column + 0.5) / len(boxes) - 0.5
                box.y = self.start + body / 2 + place * self.columns * lane
        self.baseline = self.start + body + LINE_HEIGHT
        self._place_across()
        words = max(len(volume.words) for volume in self.volumes)
        self.height = self.baseline + LINE_HEIGHT * words + MARGIN

    def _place_across(self) -> None:
        first = self.boxes[0][0]
        x = MARGIN + first.text_width + 4
        end_of_words = 0.0
        for before, boxes in zip([[], *self.boxes], self.boxes, strict=False):
            label = width_of(boxes[0].volume.row, NORMAL) / 2
            if before:
                x = before[0].end + max(GAP, boxes[0].text_width + 5)
                middle = before[0].x + before[0].right / 2
                x = max(x, middle + self._label(before) + label + 4 - boxes[0].right / 2)
                # the words are centred between two volumes, and must not touch those before them
                words = self._words_width(boxes[0].volume)
                x = max(x, 2 * (end_of_words + 3 + words / 2) - (before[0].x + before[0].right))
            else:
                x = max(x, MARGIN + label - boxes[0].right / 2)
            for box in boxes:
                box.x = x
            if before and boxes[0].volume.words:
                middle = self._between(before[0], boxes[0])
                end_of_words = middle + self._words_width(boxes[0].volume) / 2
        last = self.boxes[-1][0]
        label = last.x + last.right / 2 + width_of(last.volume.row, NORMAL) / 2
        titles = max(MARGIN + width_of(text.text, text.size) for text in self.title)
        self.width = max(last.end, label, end_of_words, titles) + MARGIN

    def _label(self, boxes: Sequence[Box]) -> float:
        return width_of(boxes[0].volume.row, NORMAL) / 2

    @staticmethod
    def _words_width(volume: Volume) -> float:
        return max((width_of(word, SMALL) for word in volume.words), default=0.0)

    @staticmethod
    def _between(before: Box, box: Box) -> float:
        """Return the x in the middle between the fronts of two volumes."""
        return (before.x + before.right + box.x) / 2

    # --------------------------------------------------------------------------------------- marks

    def picture(self) -> Picture:
        groups = [Group(kind="title", title=self.net.name, marks=tuple(self.title))]
        groups += [self._volume(box) for boxes in self.boxes for box in boxes]
        for before, boxes in zip(self.boxes, self.boxes[1:], strict=False):
            groups += self._links(before, boxes)
        groups += [self._sizes(box) for boxes in self.boxes for box in boxes]
        groups += self._captions()
        shown = f"The layers of {self.net.name} as volumes"
        return Picture(shown, self.width, self.height, tuple(groups))

    def _volume(self, box: Box) -> Group:
        fill = MODULE if box.volume.kind == "module" else FILLS[box.volume.kind]
        if box.volume.kind == "input":
            fill = "#eef1f4"
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
            kind="volume", title=_described(box.volume), marks=tuple(marks), data=self._data(box)
        )

    def _data(self, box: Box) -> dict[str, str]:
        data = {"row": box.volume.row, "shape": str(box.volume.shape)}
        return data | ({"column": f"{box.column + 1}"} if box.volume.columns > 1 else {})

    def _sizes(self, box: Box) -> Group:
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

    def _captions(self) -> Iterator[Group]:
        texts = []
        for before, boxes in zip([[], *self.boxes], self.boxes, strict=False):
            box = boxes[0]
            at = box.x + box.right / 2, self.baseline
            texts.append(Text(at=at, text=box.volume.row, size=NORMAL, fill=INK, is_bold=True))
            for line, word in enumerate(box.volume.words, 1):
                at = self._between(before[0], box), self.baseline + line * LINE_HEIGHT
                texts.append(Text(at=at, text=word, size=SMALL, fill=QUIET))
        yield Group(kind="captions", title="rows and operators", marks=tuple(texts))
        first = next((boxes for boxes in self.boxes if len(boxes) > 1), [])
        names = tuple(
            Text(at=(box.x, box.top - 4), text=text, size=SMALL, fill=QUIET, anchor="start")
            for box in first
            for text in [f"column {box.column + 1}"]
        )
        if names:
            yield Group(kind="columns", title="columns", marks=names)

    # --------------------------------------------------------------------------------------- links

    def _links(self, before: Sequence[Box], boxes: Sequence[Box]) -> Iterator[Group]:
        """Yield the kernels and lines from one volume to the next, of each pair of columns.

        Columns exchange along the lines between two of them, and where they meet.
        """
        exchanges = boxes[0].volume.exchanges
        for box in boxes:
            for tail in before:
                is_apart = len(before) > 1 and len(boxes) > 1 and tail.column != box.column
                if is_apart and not exchanges:
                    continue
                is_crossing = bool(exchanges) and (is_apart or len(boxes) == 1)
                spot = (box.column + 1) / (len(boxes) + 1) if len(before) == 1 else 0.5
                lines = _lines(tail, box, spot, CROSSING if is_crossing else KERNEL, is_apart)
                data = {"from": tail.volume.row, "to": box.volume.row}
                if is_crossing:
                    data["exchange"] = " ".join(exchanges)
                shown = "columns exchange: " if is_crossing else ""
                title = f"{shown}{tail.volume.row} to {box.volume.row}"
                kind = "crossing" if is_crossing else "link"
                yield Group(kind=kind, title=title, marks=tuple(lines), data=data)


def _lines(tail: Box, box: Box, spot: float, colour: str, is_apart: bool) -> Iterator[Line | Text]:
    """Yield the kernel in a volume, and the dashed lines from its corners to the next volume.

    Args:
        tail: The volume before.
        box: The volume that is computed.
        spot: Where the kernel is, as a part of the height.
        colour: Of the lines.
        is_apart: The volumes are of two columns; the kernel is already drawn.
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
    if not is_apart:
        for a, b in ((front[0], front[1]), (front[0], front[3])):
            points = [tail.at(1 - deep, *a), tail.at(1, *a), tail.at(1, *b), tail.at(1 - deep, *b)]
            yield _pane(points, 0.1, 0.25)
        yield _pane([tail.at(1, *corner) for corner in front], 0.35, 0.6)
    point = box.at(0, 0.5, 0.5)
    for corner in front if not is_apart else front[::2]:
        yield _dashed(tail.at(1, *corner), point, colour)
    if not is_apart:
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
