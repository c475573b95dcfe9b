"""A drawing of a net as a result of the library: it is saved in several forms, and shown inline."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from netspec.errors import require_type
from netspec.files.kinds import FileKind, require_place
from netspec.files.writing import descriptor_of, write_named
from netspec.net import Net


class BaseDrawing(ABC):
    """A drawing of a net; a notebook shows it.

    Args:
        net: The net.
    """

    forms: ClassVar[Mapping[str, FileKind]]
    """The kinds of files that it is saved as, by suffix."""

    def __init__(self, net: Net) -> None:
        require_type("net", net, Net, "a Net")
        self.net = net

    @abstractmethod
    def rendered(self, form: str) -> bytes:
        """Return the drawing as the content of a file of a form.

        Raises:
            DataError: It cannot be drawn in this form.
        """

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG.

        Raises:
            DataError: It cannot be drawn.
        """
        return self.rendered("svg").decode()

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the drawing to a file, whole or not at all.

        Args:
            path: The file; its suffix is one of ``forms``.
            force: Replace a file of another kind.

        Raises:
            ValueError: The suffix is another one.
            DataError: It cannot be drawn, or the file cannot be written.
        """
        require_type("path", path, (str, os.PathLike), "the path of a file")
        require_type("force", force, bool, "True or False")
        place = Path(path)
        form = form_of(place, self.forms)
        require_place(place, self.forms[form], force=force)
        write_named(place, self.svg.encode() if form == "svg" else self.rendered(form))

    def _repr_svg_(self) -> str:
        return self.svg


def form_of(path: Path, forms: Mapping[str, FileKind]) -> str:
    """Return the form of a drawing by the name of its file; a stream gets SVG.

    Raises:
        ValueError: It is none of ``forms``.
    """
    if descriptor_of(path) is not None:
        return "svg"
    form = path.suffix.lower().removeprefix(".")
    if form not in forms:
        raise ValueError(f"{path} is none of {', '.join(f'*.{known}' for known in forms)}")
    return form
