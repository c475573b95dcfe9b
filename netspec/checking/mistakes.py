"""Warnings about specs that are valid, but are probably not as intended.

Each rule skips what a real net may need: nobody reads a warning that is often wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from netspec.ir.graph import Graph
from netspec.ir.operator import WindowOperator
from netspec.ir.shapes import Shape
from netspec.ir.source import Sources
from netspec.ir.words import counted
from netspec.language import syntax
from netspec.language.diagnostics import Note, Problems, call_notes
from netspec.language.walk import named

CHANNELS = (1, 3, 4)
"""Numbers of channels of images: grey, colour, and colour with transparency."""

SMALLEST_SQUARE, SMALLEST = 8, 16
"""Sides of the smallest images: scikit-learn's digits are 8 x 8.  A smaller input that is not
square is a map of features."""

MOST_OBLONG = 2.5
"""The largest ratio of the sides of an image; a cinema's screen has 2.4."""

NEVER_NEGATIVE = ("relu", "relu6", "abs", "sigmoid", "hardsigmoid", "softmax")


def warn_of_order(graph: Graph, problems: Problems) -> None:
    """Warn of inputs whose sizes are probably not in the order height, width, channels.

    One of the first two sizes is then a number of channels, and the other two are those of an
    image.  If no window is larger than 1 along the short axis, the net is for sequences, and there
    is no warning.
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
    """Return the axis, 0 or 1, whose size is probably the number of channels, or None."""
    if len(shape) != 3 or not all(isinstance(size, int) for size in shape):
        return None
    for axis in (0, 1):
        small, large = sorted(size for i, size in enumerate(shape) if i != axis)
        is_image = small >= SMALLEST and large <= MOST_OBLONG * small
        if shape[axis] in CHANNELS and (is_image or small == large >= SMALLEST_SQUARE):
            return axis
    return None


def warn_of_idle(graph: Graph, problems: Problems) -> None:
    """Warn of operators whose output is constant or equals their input."""
    for stage in graph.stages():
        operands = [graph.stage(name) for name in graph.operands(stage.name)]
        if len(operands) != 1:
            continue
        (operand,) = operands
        if stage.op.name in ("relu", "abs") and operand.op.name in NEVER_NEGATIVE:
            message = f"{stage.op.name} does nothing: {operand.op.name} before it is never negative"
            help = "remove one of the two"
        elif stage.op.name == operand.op.name == "softmax":
            message = "a softmax after a softmax: all outputs are nearly equal"
            help = "remove one of the two"
        elif stage.op.name == "softmax" and operand.known_shape.channels == 1:
            message = "a softmax over one channel is always 1"
            help = "write sigmoid, or give the row before it one channel per class"
        else:
            continue
        notes = call_notes(stage.calls)
        if (operand.span.source, operand.span.line) != (stage.span.source, stage.span.line):
            notes = [Note(f"{operand.op.name} is written here", operand.span), *notes]
        problems.warn("NS502", message, stage.span, help=help, notes=notes)


def warn_of_unused(tree: syntax.Tree, sources: Sources, problems: Problems) -> None:
    """Warn of parameters, constants, tables and blocks of the spec that the net does not use.

    Definitions of a base and of imports are not checked: other nets may use them.
    """
    defined = [
        (word, name)
        for word, name in _definitions(tree)
        if sources.span(name.at).source is tree.source
    ]
    if not defined:
        return
    uses = Counter(name.text.partition(".")[0] for name in named(tree.statements))
    for word, name in defined:
        if uses[name.text] == 1:  # only the definition itself
            problems.warn(
                "NS503",
                f"nothing uses the {word} `{name.text}`",
                sources.span(name.at),
                help="use it or remove it; perhaps its name is misspelt where it is used",
            )


def _definitions(tree: syntax.Tree) -> Iterator[tuple[str, syntax.Name]]:
    words = {"Let": "constant", "Block": "block", "Connect": "table", "Codes": "table"}
    for statement in tree.statements:
        if isinstance(statement, syntax.Net):
            yield from (("parameter", parameter.name) for parameter in statement.parameters)
        elif isinstance(statement, syntax.Let | syntax.Block | syntax.Connect | syntax.Codes):
            yield words[type(statement).__name__], statement.name
