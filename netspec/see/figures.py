"""Parts of all pictures: style, captions, grids of images, colours, and how they are saved.

No text is smaller than 7 pt.
"""

from __future__ import annotations

import os
import textwrap
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.util import find_spec
from io import BytesIO
from math import ceil, floor, isfinite, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import ArgumentError, DataError, require_type
from netspec.files.kinds import PDF, PNG, SVG, FileKind, require_place
from netspec.files.writing import descriptor_of, write_named
from netspec.language.diagnostics import printable
from netspec.printing import Printed
from netspec.see.names import glyphs_noted

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
RIGHT = "#D55E00"
"""The right class: the vermilion of Okabe and Ito."""
PALE_RIGHT, PALE = "#EFA27A", "#C5D5E4"
"""Bars with text over them: the right class, and all others."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""
SIGNED, UNSIGNED = "RdBu_r", "viridis"
"""Colour maps: white at 0 for values of both signs, and from dark to light for the others."""

STYLE: dict[Any, Any] = {
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
    "text.parse_math": False,  # names of files and classes can have dollar signs
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
            return _with_caption(self.draw(), self.caption)

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
        lines = [*self.caption.splitlines(), *self.lines()]
        return "\n".join(printable(line) for line in lines)

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
    """Use the style of all pictures in a block; raise DataError if matplotlib is missing.

    Settings of a user, such as ``image.origin`` in a matplotlibrc, do not change pictures.
    """
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def rendered(figure: Figure, form: str) -> bytes:
    """Return a figure as the content of a file; equal figures give equal bytes (no dates)."""
    undated: dict[str, Any] = {
        "png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None},
    }  # fmt: skip
    written = BytesIO()
    with styled(), glyphs_noted(form):
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
    shown = fractions(pixels).clip(0, 1)
    axes.imshow(shown[..., 0] if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=1)
    bare(axes, title)


def place_image(
    axes: Axes, pixels: NDArray[Any], left: float, top: float, width: float, height: float
) -> None:
    """Draw an image [H, W, 1 or 3] at a place in axes, whose y grows downwards."""
    shown = np.broadcast_to(fractions(pixels), (*pixels.shape[:2], 3))
    axes.imshow(shown, extent=(left, left + width, top + height, top))


def show_grid(
    axes: Axes,
    images: NDArray[Any],
    columns: int,
    numbers: NDArray[np.int64] | None = None,
    title: str = "",
) -> None:
    """Draw images [N, H, W, 1 or 3] as a grid; the first of each row has its number at its left."""
    grid = tiled(images, columns)
    axes.imshow(grid)
    bare(axes, title)
    names = np.arange(len(images)) if numbers is None else numbers
    if len(images) > 1:
        firsts = range(0, len(images), columns)
        places = (np.arange(len(firsts)) + 0.5) * (grid.shape[0] / len(firsts))
        axes.set_yticks(places, [f"{names[first]}" for first in firsts])
        axes.tick_params(length=0, pad=2)


def grid_size(images: NDArray[Any], columns: int) -> tuple[float, float]:
    """Return the height and the width of a grid of images, in images of equal width."""
    height, width = images.shape[1:3]
    return ceil(len(images) / columns) * height / width, columns


def coloured(
    values: NDArray[Any], most: float | None = None, *, is_signed: bool = False
) -> NDArray[np.float32]:
    """Return values as colours.

    Args:
        values: of any shape.
        most: magnitude of the last colour; by default the largest of the values.
        is_signed: values have both signs, and white is 0; else the darkest colour is 0.

    Returns:
        The shape of ``values`` and three channels, floats of 0..1.
    """
    from matplotlib import colormaps

    scale = float(np.abs(values).max(initial=0)) if most is None else most
    scaled = values / scale if scale else np.zeros_like(values)
    colours = colormaps[SIGNED](0.5 + scaled / 2) if is_signed else colormaps[UNSIGNED](scaled)
    return np.asarray(colours[..., :3], np.float32)


def columns_of(count: int, *, wide: float = 1.6) -> int:
    """Return the number of columns of a grid of images that has few empty places.

    Args:
        count: number of images.
        wide: width of the grid that is aimed at, in images, as a multiple of its height.
    """
    ideal = sqrt(count * wide)
    candidates = range(max(1, floor(ideal * 0.75)), max(1, ceil(ideal * 1.35)) + 1)
    fitting = [columns for columns in candidates if columns <= count] or [count]
    return min(fitting, key=lambda columns: (-count % columns / count, abs(columns - ideal)))


GAP = 2
SMALLEST = 32
"""Pixels between images of a grid, and the least side of an image: each pixel is repeated until
its image has it, so that gaps are thin."""
FRAME = (0.76, 0.81, 0.86)
"""Colour of gaps: neither black nor white, which the borders of images can be."""


def tiled(images: NDArray[Any], columns: int) -> NDArray[np.float32]:
    """Return images in one, row by row, each in a thin frame.

    Args:
        images: [N, H, W, 1 or 3], uint8 of 0..255 or floats of 0..1.
        columns: images per row.

    Returns:
        [rows * (H' + GAP) + GAP, columns * (W' + GAP) + GAP, 3], floats of 0..1, where H' and W'
        are H and W times :func:`repeats`.
    """
    count, height, width, _ = images.shape
    times = repeats(height, width)
    height, width = height * times, width * times
    down, across = height + GAP, width + GAP
    whole = np.ones((ceil(count / columns) * down + GAP, columns * across + GAP, 3), np.float32)
    for number, image in enumerate(images):
        top, left = number // columns * down, number % columns * across
        whole[top : top + down + GAP, left : left + across + GAP] = FRAME
        whole[top + GAP : top + down, left + GAP : left + across] = np.repeat(
            np.repeat(fractions(image), times, 0), times, 1
        )
    return whole


def repeats(height: int, width: int) -> int:
    """Return how often :func:`tiled` repeats each pixel of an image, down and across."""
    return ceil(SMALLEST / max(1, min(height, width)))


def fractions(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image with values of 0..1."""
    fractions: NDArray[np.float32] = image.astype(np.float32)
    if image.dtype == np.uint8:
        fractions /= 255
    return fractions


def tally(names: Sequence[str]) -> str:
    """Return names with their counts, the most frequent first, such as ``7 (5), 9 (1)``."""
    counts = sorted(Counter(names).items(), key=lambda one: -one[1])
    return ", ".join(f"{name} ({count})" for name, count in counts)


def short(path: str | Path) -> str:
    """Return the name of a file or folder on one line, for a caption: ``.`` has a name too."""
    return printable(Path(os.path.abspath(path)).name or str(path))


LINE = 0.18
"""Height of a line of the caption, in inches."""


def _with_caption(figure: Figure, caption: str) -> Figure:
    """Add a caption above a figure, which becomes higher."""
    width, height = figure.get_size_inches()
    characters = max(20, int(width * 72 / (0.52 * NORMAL)))  # of 0.52 times their height, about
    lines = [
        line
        for part in caption.splitlines()
        for line in textwrap.wrap(printable(part), characters) or [""]
    ]
    figure.set_size_inches(width, height + LINE * len(lines) + 0.1)
    figure.suptitle("\n".join(lines), fontsize=NORMAL, color=INK)
    return figure
