"""Parts of all pictures: style, captions, grids of images, colours, and how they are saved.

No text is smaller than 7 pt.
"""

from __future__ import annotations

import os
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.util import find_spec
from io import BytesIO
from math import ceil, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import ArgumentError, DataError, require_type
from netspec.files.kinds import PDF, PNG, SVG, FileKind, require_place
from netspec.files.writing import descriptor_of, write_named
from netspec.printing import Printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMS = {"png": PNG, "svg": SVG, "pdf": PDF}

DPI = 200
"""Dots per inch of a PNG."""
SMALL, NORMAL, LARGE = 7.5, 9.0, 11.0
"""Sizes of text in points: notes and ticks, labels, titles."""
INCHES_WIDE = 8.0

INK, QUIET, PAPER = "#1f2328", "#57606a", "#ffffff"
RIGHT, PLAIN = "#D55E00", "#8FA3B5"
"""The right class, and all others.  The first is the vermilion of Okabe and Ito."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""
SIGNED, UNSIGNED = "RdBu_r", "viridis"
"""Colour maps: white at 0 for values of both signs, and from dark to light for the others."""

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so pictures are alike everywhere
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.labelsize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "nearest",
    "svg.fonttype": "none",
    "svg.hashsalt": "netspec",
}


class Visualisation(Printed, ABC):
    """A picture: a frozen dataclass with arrays, which can be drawn, saved and printed.

    ``caption`` says what is shown and of which net; it is the title of the figure.
    """

    caption: str

    @abstractmethod
    def draw(self) -> Figure:
        """Return a figure, without its caption.  It is called with the style set."""

    @abstractmethod
    def lines(self) -> Sequence[str]:
        """Return what the command prints after the caption: the figures in words, in few lines."""

    def figure(self) -> Figure:
        """Return the picture as a figure of matplotlib.

        Raises:
            DataError: matplotlib is not installed.
        """
        with styled():
            figure = self.draw()
            width = figure.get_size_inches()[0]
            figure.suptitle(_wrapped(self.caption, width), fontsize=NORMAL, color=INK)
            return figure

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the picture to a file, whole or not at all.

        Equal pictures give equal bytes.

        Args:
            path: ``FILE.png``, ``FILE.svg`` or ``FILE.pdf``.
            force: replace a file of another kind.

        Raises:
            ValueError: the suffix is another one.
            DataError: matplotlib is not installed, or the file cannot be written.
        """
        require_type("path", path, (str, os.PathLike), "the path of a file")
        require_type("force", force, bool, "True or False")
        place = Path(path)
        form = form_of(place)
        require_place(place, FORMS[form], force=force)
        write_named(place, rendered(self.figure(), form))

    def as_json(self) -> Any:
        """Return the values of the picture, as ``--json`` prints them; arrays are lists.

        Images and other fields with ``metadata={"json": False}`` are omitted.
        """
        members = {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)  # type: ignore[arg-type]
            if field.metadata.get("json", True)
        }
        return members

    def __str__(self) -> str:
        return "\n".join([self.caption, *self.lines()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_png_(self) -> bytes:
        return rendered(self.figure(), "png")


DIGITS = 6
"""Significant digits of numbers in JSON; a float32 has 7."""


def _plain(value: Any) -> Any:
    """Return data with nothing but what JSON has; a value that is not finite is null."""
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value if isinstance(value, bool | int | str | None) else str(value)


# ------------------------------------------------------------------------------------------- files


def require_matplotlib() -> None:
    """Raise DataError if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise DataError(
            "pictures need matplotlib, which is not installed: pip install 'netspec-compiler[plot]'"
        )


def form_of(path: Path) -> str:
    """Return the form of a picture at a path: ``png``, ``svg`` or ``pdf``; a stream gets SVG.

    Raises:
        ValueError: the suffix is that of another kind of file.
    """
    form = path.suffix.lower().removeprefix(".")
    if form in FORMS:
        return form
    if descriptor_of(path) is not None:
        return "svg"
    raise ArgumentError(f"{path} must end in {', '.join(f'.{form}' for form in FORMS)}")


def kind_of(path: Path) -> FileKind:
    """Return the kind of file of a picture at a path; raise ValueError as :func:`form_of`."""
    return FORMS[form_of(path)]


@contextmanager
def styled() -> Iterator[None]:
    """Use the style of all pictures in a block; raise DataError if matplotlib is missing."""
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context(rc=STYLE):
        yield


def rendered(figure: Figure, form: str) -> bytes:
    """Return a figure as the content of a file; equal figures give equal bytes (no dates)."""
    undated: dict[str, Any] = {
        "png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None},
    }  # fmt: skip
    written = BytesIO()
    with styled():
        figure.savefig(written, format=form, dpi=DPI, metadata=undated[form], facecolor=PAPER)
    return written.getvalue()


# ------------------------------------------------------------------------------------------- parts


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, whose parts do not overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bare(axes: Axes, title: str = "") -> None:
    """Remove ticks and frame of axes that show an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, fontsize=SMALL)


def show_image(axes: Axes, pixels: NDArray[Any], title: str = "") -> None:
    """Draw an image [H, W, 1 or 3], uint8 of 0..255 or floats of 0..1, without ticks."""
    whole = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    most = 255 if whole.dtype == np.uint8 else 1
    axes.imshow(whole, cmap="gray", vmin=0, vmax=most, aspect="equal")
    bare(axes, title)


def columns_of(count: int, *, wide: float = 1.0) -> int:
    """Return how many columns a grid of images has: about ``wide`` times as many as rows."""
    return min(count, max(1, ceil((count * wide) ** 0.5)))


def tiled(images: NDArray[Any], columns: int, *, gap: int = 1, fill: float = 1.0) -> NDArray[Any]:
    """Return images in one, row by row, with gaps between them.

    Args:
        images: [N, H, W, C].
        columns: images per row.
        gap: pixels between images.
        fill: value of gaps, and of places after the last image.

    Returns:
        [rows * (H + gap) - gap, columns * (W + gap) - gap, C], of the type of ``images``.
    """
    count, height, width, channels = images.shape
    rows = ceil(count / columns)
    whole = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, channels), fill, images.dtype
    )
    for number, image in enumerate(images):
        down, across = divmod(number, columns)
        top, left = down * (height + gap), across * (width + gap)
        whole[top : top + height, left : left + width] = image
    return whole


def _wrapped(text: str, inches: float) -> str:
    """Return a caption in lines that fit a width; a character takes about 0.55 of its height."""
    characters = max(20, int(inches * 72 / (0.55 * NORMAL)))
    return "\n".join(
        line for part in text.splitlines() for line in textwrap.wrap(part, characters) or [""]
    )
