"""Visualisations of what a network has learned: one module and one function per picture.

``netspec.see.filters(model)`` does what ``netspec see filters`` does.  Each function returns a
:class:`~netspec.see.figures.Visualisation`: arrays, a figure and a caption.

The functions are imported here at once, not when they are first used: a function and its module
have the same name, and the import of the module alone would hide the function.  So the modules must
be quick to import.  matplotlib, and what only one picture needs, is imported inside functions.
"""

from __future__ import annotations

from netspec.see.activations import activations
from netspec.see.codes import codes
from netspec.see.confusion import confusion
from netspec.see.curves import curves
from netspec.see.evolution import evolution
from netspec.see.filters import filters
from netspec.see.invariance import invariance
from netspec.see.neighbours import neighbours
from netspec.see.occlusion import occlusion
from netspec.see.predictions import predictions
from netspec.see.projection import projection
from netspec.see.search import search
from netspec.see.top9 import top9

__all__ = [
    "activations",
    "codes",
    "confusion",
    "curves",
    "evolution",
    "filters",
    "invariance",
    "neighbours",
    "occlusion",
    "predictions",
    "projection",
    "search",
    "top9",
]
