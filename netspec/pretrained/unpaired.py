"""The error for a file whose layers are not those of a net."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from pathlib import Path

from netspec.errors import DataError
from netspec.files.members import shown
from netspec.ir.symbols import by
from netspec.ir.words import counted
from netspec.pretrained.layers import Layer
from netspec.pretrained.layouts import kind_of_stage, shapes_of
from netspec.pretrained.matching import Matching, Node, Place

NAMES, LINES = 4, 6
"""The number of names per list, and of lines of the table, that are shown."""

Size = tuple[int, ...]


class Unpaired(DataError):
    """A file whose layers are not those of a net.

    Attributes:
        problem: the first difference, in one sentence.
        table: all differences, one line each.
    """

    def __init__(self, problem: str, table: Sequence[str]) -> None:
        self.problem, self.table = problem, tuple(table)
        super().__init__("\n  ".join([f"{problem}:", *table] if table else [problem]))


def unpaired(matching: Matching, choices: Sequence[Sequence[Place]], path: Path) -> Unpaired:
    """Return the error for layers that do not fit the places of a net.

    The first difference is a place without a layer, or else a layer without a place.

    Args:
        matching: the layers and the places.
        choices: places that may take layers, such as all, or those that are not of heads; the
            choice that fits best is reported.
        path: of the file.
    """
    both = [(places, matching.flows(places)) for places in choices]
    places, flows = min(both, key=lambda one: len(one[0]) - 2 * sum(one[1].values()))
    missing = Counter(matching.node_of_place[place] for place in places)
    surplus = Counter(matching.node_of_layer)
    for (source, target), count in flows.items():
        missing[target] -= count
        surplus[source] -= count
    lacking = next((one for one in places if missing[matching.node_of_place[one]]), None)
    left = [
        layer
        for layer, node in zip(matching.layers, matching.node_of_layer, strict=True)
        if surplus[node]
    ]
    if lacking is not None:
        problem = _lacking(matching, lacking, left)
    else:
        problem = f"no row takes {_described(left[0])}"
    differing = [
        _line(matching, places, sources, targets)
        for sources, targets in matching.components()
        if any(surplus[node] for node in sources) or any(missing[node] for node in targets)
    ]
    if len(differing) > LINES:
        differing[LINES:] = [("...", f"{len(differing) - LINES} more shapes", "")]
    widths = [max(map(len, column)) for column in zip(*differing, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in differing
    ]
    return Unpaired(f"the layers in {path} are not those of {matching.net.name}: {problem}", table)


def _lacking(matching: Matching, place: Place, left: Sequence[Layer]) -> str:
    """Return what a place expects, and which of the layers that are left is the closest to it."""
    kind, size = _of_place(matching, place)
    expects = f"{place.stage} expects {_named(kind, size)}"
    if matching.graph[matching.node_of_place[place]]:
        return f"{expects}, and the file does not have enough of these"
    shapes = [(layer, own) for layer in left for other, own in [_of_layer(layer)] if other == kind]
    if not shapes:
        return f"{expects}, and the file has none"
    closest, _ = max(
        shapes, key=lambda one: sum(a == b for a, b in zip(one[1], size, strict=False))
    )
    return f"{expects}, and the file has none; the closest is {_described(closest)}"


def _line(
    matching: Matching, places: Sequence[Place], sources: Sequence[Node], targets: Sequence[Node]
) -> tuple[str, str, str]:
    """Return a shape, the rows that expect it and the layers that have it, as text."""
    rows = [place for place in places if matching.node_of_place[place] in targets]
    layers = [
        layer
        for layer, node in zip(matching.layers, matching.node_of_layer, strict=True)
        if node in sources
    ]
    shape = _of_place(matching, rows[0]) if rows else _of_layer(layers[0])
    return (
        _named(*shape),
        _listed("row", [place.stage for place in rows]),
        _listed("layer", [shown(layer.name) for layer in layers]),
    )


def _listed(noun: str, names: Sequence[str]) -> str:
    listed = ", ".join(names[:NAMES]) + (", ..." if len(names) > NAMES else "")
    return f"{counted(len(names), noun)}: {listed}" if names else f"no {noun}"


def _described(layer: Layer) -> str:
    return f"{shown(layer.name)}, {_named(*_of_layer(layer))}"


def _named(kind: str, size: Size) -> str:
    return f"{'layer' if kind == 'other' else kind} {by(size)}"


def _of_layer(layer: Layer) -> tuple[str, Size]:
    """Return the kind of a layer and the shape of its largest tensor."""
    shapes = [tuple(tensor.shape) for tensor in layer.tensors.values()]
    return layer.kind, max(shapes, key=prod, default=())


def _of_place(matching: Matching, place: Place) -> tuple[str, Size]:
    """Return the kind of the stage of a place and the shape of its largest tensor."""
    shapes = shapes_of(matching.net, place.stage).values()
    return kind_of_stage(matching.net, place.stage), max(shapes, key=prod)
