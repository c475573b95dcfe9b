"""Draw a net: its graph, or its layers as volumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from netspec.files.kinds import FileKind
from netspec.ir.arguments import choice
from netspec.language.definitions import Setting
from netspec.net import Net, Spec, net_of
from netspec.views.base_drawing import BaseDrawing
from netspec.views.drawing import Drawing
from netspec.views.volumes_drawing import Volumes

STYLES: Mapping[str, type[BaseDrawing]] = {"graph": Drawing, "volumes": Volumes}
"""The styles of drawings."""


def draw(
    spec: Spec,
    path: str | Path | None = None,
    *,
    style: str = "graph",
    direction: str | None = None,
    force: bool = False,
    settings: Mapping[str, Setting] | None = None,
) -> Drawing | Volumes:
    """Draw a net: its graph, which Graphviz lays out, or its layers as volumes.

    Args:
        spec: Path, name of a bundled spec, or net.
        path: File to write, ``FILE.svg``, ``FILE.png`` or ``FILE.pdf``, or for the graph also
            ``FILE.dot``; None writes no file.
        style: ``"graph"``, or ``"volumes"`` for boxes in proportion, as in AlexNet's Figure 2.
        direction: ``"down"`` (the default) or ``"right"``, for the graph.
        force: Replace a file of another kind.
        settings: Values of the parameters of a spec. A string is parsed as in a spec.

    Raises:
        SpecError: The spec has mistakes, or it has symbols and the style is ``"volumes"``.
        TypeError: An argument has a wrong type.
        ValueError: The suffix of ``path``, the style or the direction is another one.
        DataError: The program Graphviz is missing or fails, the net has no volumes, or the file
            cannot be written.
    """
    drawing = drawing_of(net_of(spec, settings), style, direction)
    if path is not None:
        drawing.save(path, force=force)
    return drawing


def drawing_of(net: Net, style: str = "graph", direction: str | None = None) -> Drawing | Volumes:
    """Return the drawing of a net in a style.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: The style or the direction is not known, or the style does not have directions.
        DataError: The net has no volumes.
    """
    if choice("style", style, STYLES) == "graph":
        return Drawing(net, direction="down" if direction is None else direction)
    if direction is not None:
        raise ValueError(
            "volumes are always drawn from left to right: direction is for the style graph"
        )
    return Volumes(net)


def forms_of(style: str) -> Mapping[str, FileKind]:
    """Return the kinds of files that a style is saved as, by suffix."""
    return STYLES[style].forms
