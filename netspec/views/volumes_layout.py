"""The places of volumes on a page: boxes in oblique projection, in one or more strips.

Channels go to the right, the height goes down, and the width goes back, which is to the upper right
(as in AlexNet's Figure 2).  A length is proportional to the square root of its size, so that 3 and
4096 fit on one page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import sqrt

from netspec.views.marks import Point, width_of
from netspec.views.volumes import Volume

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

NORMAL, SMALL = 8.5, 8.0
"""Sizes of text in points: labels of rows, and all others."""
MARGIN, GAP, LINE_HEIGHT = 16.0, 18.0, 9.5


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


class Strip:
    """Volumes from left to right, their columns above each other.

    Args:
        volumes: The volumes.
        columns: The number of columns of the net.
        scale: A pair of :data:`SCALES`.
        top: The y of its upper edge.
    """

    def __init__(
        self, volumes: Sequence[Volume], columns: int, scale: tuple[float, float], top: float
    ) -> None:
        self.boxes = [
            [Box(volume, *scale, column) for column in range(volume.columns)] for volume in volumes
        ]
        split = [boxes[0] for boxes in self.boxes if len(boxes) > 1]
        whole = [boxes[0] for boxes in self.boxes if len(boxes) == 1]
        lane = max((box.bottom - box.top for box in split), default=0.0) + 3 * LINE_HEIGHT
        tall = max((box.bottom - box.top for box in whole), default=0.0) + 2 * LINE_HEIGHT
        body = max(columns * lane if split else 0.0, tall)
        for boxes in self.boxes:
            for box in boxes:
                place = (box.column + 0.5) / len(boxes) - 0.5
                box.y = top + body / 2 + place * columns * lane
        self.baseline = top + body + LINE_HEIGHT
        """The y of the labels of rows; words are below it."""
        self.bottom = self.baseline + LINE_HEIGHT * max(len(volume.words) for volume in volumes)
        self.right = self._place_across()

    def _place_across(self) -> float:
        """Place the boxes from left to right without overlaps of texts; return the right end."""
        first = self.boxes[0]
        x = max(MARGIN + first[0].text_width + 4, MARGIN + _label(first) - first[0].right / 2)
        _move(first, x)
        end_of_words = 0.0
        for before, boxes in pairwise(self.boxes):
            box, last = boxes[0], before[0]
            x = last.end + max(GAP, box.text_width + 5)
            middle = last.x + last.right / 2
            x = max(x, middle + _label(before) + _label(boxes) + 4 - box.right / 2)
            # the words are centred between two volumes, and must not touch those before them
            words = max((width_of(word, SMALL) for word in box.volume.words), default=0.0) / 2
            x = max(x, 2 * (end_of_words + 3 + words) - (last.x + last.right))
            _move(boxes, x)
            if words:
                end_of_words = between(last, box) + words
        last = self.boxes[-1][0]
        return max(last.end, last.x + last.right / 2 + _label([last]), end_of_words)


def strips(volumes: Sequence[Volume], top: float) -> list[Strip]:
    """Return the volumes in as few strips as fit on the page, as large as they fit.

    Each strip but the first begins with the last volume of the one before it.

    Args:
        volumes: The volumes of a net.
        top: The y of the upper edge of the first strip.
    """
    columns = max(volume.columns for volume in volumes)
    last = len(volumes) - 1
    placed: list[Strip] = []
    for number in range(1, last + 1):
        ends = [round(i * last / number) for i in range(number + 1)]
        for scale in SCALES:
            placed = []
            for start, end in pairwise(ends):
                above = placed[-1].bottom + 2 * LINE_HEIGHT if placed else top
                placed.append(Strip(volumes[start : end + 1], columns, scale, above))
            is_narrow = max(strip.right for strip in placed) + MARGIN <= PAGE[0]
            # a net that needs more than two strips is read on a screen, or on a higher page
            if is_narrow and (placed[-1].bottom + MARGIN <= PAGE[1] or number > 2):
                return placed
    return placed


def between(before: Box, box: Box) -> float:
    """Return the x in the middle between the fronts of two volumes."""
    return (before.x + before.right + box.x) / 2


def _move(boxes: Sequence[Box], x: float) -> None:
    for box in boxes:
        box.x = x


def _label(boxes: Sequence[Box]) -> float:
    """Return half the width of the label of a row."""
    return width_of(boxes[0].volume.row, NORMAL) / 2
