"""Warnings: what is valid, and is probably a mistake.

Each rule leaves out what some net may mean: a warning that is often wrong is not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from netspec.ir.graph import Graph
from netspec.ir.operator import WindowOperator
from netspec.ir.shapes import Shape
from netspec.ir.source import Sources
from netspec.ir.words import counted
from netspec.language import syntax
from netspec.language.diagnostics import Note, Problems, call_notes

CHANNELS = (1, 3, 4)
"""Of images: grey, colours, and colours with transparency."""

SMALLEST_SQUARE, SMALLEST = 8, 16
"""Sides of the smallest images: scikit-learn's digits are 8 x 8; what is not square and smaller is
a map of features."""

MOST_OBLONG = 2.5
"""Times that an image is as wide as high, or as high as wide; a cinema's screen is 2.4."""

NEVER_NEGATIVE = ("relu", "relu6", "abs", "sigmoid", "hardsigmoid", "softmax")


def warn_of_order(graph: Graph, problems: Problems) -> None:
    """Warn of inputs whose sizes are probably in another order than height, width, channels.

    That is so if one of the first two sizes is a number of channels and the other two are those of
    an image, unless no window reaches beyond one element along the short axis: then the net is
    one of sequences.
    """
    windows = [stage.op.kernel for stage in graph.stages() if isinstance(stage.op, WindowOperator)]
    for name in graph.inputs:
        stage = graph.stage(name)
        axis = None if stage.shape is None else _axis_of_channels(stage.shape)
        if axis is None or (windows and all(kernel[axis] == 1 for kernel in windows)):
            continue
        height, width, channels = shape = tuple(stage.known_shape)
        meant = [size for i, size in enumerate(shape) if i != axis] + [shape[axis]]
        problems.warn(
            "NS501",
            f"`{name}` is {height} high and {width} wide, and has {channels} channels",
            stage.spans["size"],
            label="height x width x channels",
            help=f"if it has {counted(shape[axis], 'channel')}, write {'x'.join(map(str, meant))}",
        )


def _axis_of_channels(shape: Shape) -> int | None:
    """Return which of the first two sizes seems to be that of the channels, if one does."""
    if len(shape) != 3 or not all(isinstance(size, int) for size in shape):
        return None
    for axis in (0, 1):
        small, large = sorted(size for i, size in enumerate(shape) if i != axis)
        is_image = small >= SMALLEST and large <= MOST_OBLONG * small
        if shape[axis] in CHANNELS and (is_image or small == large >= SMALLEST_SQUARE):
            return axis
    return None


def warn_of_idle(graph: Graph, problems: Problems) -> None:
    """Warn of operators whose result is known beforehand, or is what they are given."""
    for stage in graph.stages():
        operands = [graph.stage(name) for name in graph.operands(stage.name)]
        if len(operands) != 1:
            continue
        (operand,) = operands
        if stage.op.name in ("relu", "abs") and operand.op.name in NEVER_NEGATIVE:
            message = f"{stage.op.name} does nothing: {operand.op.name} before it is never negative"
            help = "leave out one of the two"
        elif stage.op.name == operand.op.name == "softmax":
            message = "a softmax of a softmax: all its results are nearly alike"
            help = "leave out one of the two"
        elif stage.op.name == "softmax" and operand.known_shape.channels == 1:
            message = "a softmax over one channel is 1, whatever it is given"
            help = "write sigmoid, or give the row before it a channel for each class"
        else:
            continue
        notes = call_notes(stage.calls)
        if (operand.span.source, operand.span.line) != (stage.span.source, stage.span.line):
            notes = [Note(f"{operand.op.name} is written here", operand.span), *notes]
        problems.warn("NS502", message, stage.span, help=help, notes=notes)


def warn_of_unused(tree: syntax.Tree, sources: Sources, problems: Problems) -> None:
    """Warn of parameters, constants, tables and blocks of a file that are named nowhere in the net.

    Those of its base are not its own, and blocks that others import are none of a net.
    """
    defined = [
        (word, name)
        for word, name in _definitions(tree)
        if sources.span(name.at).source is tree.source
    ]
    uses = Counter(_names(tree.statements)) if defined else Counter[str]()
    for word, name in defined:
        if uses[name.text] == 1:  # where it is defined
            problems.warn(
                "NS503",
                f"nothing uses the {word} `{name.text}`",
                sources.span(name.at),
                help="use it, or leave it out; a name may be misspelt where it was to be used",
            )


def _definitions(tree: syntax.Tree) -> Iterator[tuple[str, syntax.Name]]:
    words = {"Let": "constant", "Block": "block", "Connect": "table", "Codes": "table"}
    for statement in tree.statements:
        if isinstance(statement, syntax.Net):
            yield from (("parameter", parameter.name) for parameter in statement.parameters)
        elif isinstance(statement, syntax.Let | syntax.Block | syntax.Connect | syntax.Codes):
            yield words[type(statement).__name__], statement.name


def _names(statements: tuple[syntax.Statement, ...]) -> Iterator[str]:
    """Yield the names in a part of the syntax tree, as often as they are there."""
    nodes: list[Any] = [statements]
    while nodes:
        node = nodes.pop()
        if isinstance(node, syntax.Name):
            yield node.text
        elif isinstance(node, syntax.Quantity):
            yield node.text.partition(".")[0]
        elif isinstance(node, tuple):
            nodes += node
        elif is_dataclass(node):
            nodes += [getattr(node, field) for field in node.__dataclass_fields__]
