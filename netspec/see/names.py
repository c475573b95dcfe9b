"""Names of files, runs and classes in pictures: any text, on one line, of a limited width."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from netspec.language.diagnostics import printable

DOTS = "…"
MOST = 200
"""Characters of a name that are measured: no picture has space for more."""
_GLYPH = "Glyph ([0-9]+) "
"""The beginning of matplotlib's warning about a character that its font does not have."""


def fitted(name: str, inches: float, points: float) -> str:
    """Return a name on one line, cut so that it is not wider than a width.

    It is called with the style of pictures set, whose font it is measured in.

    Args:
        name: any text; control characters become middle dots, as they are not allowed in SVG.
        inches: the width; of a narrower place than that of the dots, the name is empty.
        points: size of the text.
    """
    line = printable(name)
    if _width(line[:MOST], points) <= inches and len(line) <= MOST:
        return line
    fits, too_long = 0, min(len(line), MOST)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _width(_cut(line, middle), points) <= inches:
            fits = middle
        else:
            too_long = middle
    return _cut(line, fits) if fits else ""


def _cut(line: str, count: int) -> str:
    return line[:count].rstrip() + DOTS


def _width(line: str, points: float) -> float:
    """Return the width of a text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=points)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _GLYPH)
        width, _, _ = text_to_path.get_text_width_height_descent(line, font, ismath=False)
    return float(width) / 72


@contextmanager
def glyphs_noted(form: str) -> Iterator[None]:
    """Warn once of all characters that the font of pictures does not have, instead of each time.

    An SVG has them as text, which the program that shows it draws with its own fonts.

    Args:
        form: of the picture: ``png``, ``svg`` or ``pdf``.
    """
    import re

    missing: dict[str, None] = {}
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        yield
    for warning in raised:
        if found := re.match(_GLYPH, str(warning.message)):
            missing[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if missing and form != "svg":
        warnings.warn(
            f"the font of pictures does not have {', '.join(missing)}: a box is drawn instead; "
            "FILE.svg keeps these characters as text",
            stacklevel=3,
        )
