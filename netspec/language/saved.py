"""The spec in a run directory, read wherever a spec is enough.

A run directory keeps the text of its net, of the files that the net was made from, and the
parameters that it was trained with; ``training/run.py`` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from netspec.errors import DataError, require_type
from netspec.files.members import SCALAR, Kind, many, matching, member, table, text
from netspec.files.members import read as read_member
from netspec.files.reading import read_plain
from netspec.ir.source import Source, Span
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, SpecError
from netspec.language.files import ResolvedFiles
from netspec.language.limits import MAX_BYTES
from netspec.language.read import NAMED, RUN, SPEC_OF_RUN, decode, read, unreadable

_PARAMETERS: Kind[dict[str, Any]] = member("settings", member("parameters", table(SCALAR)))
_MEMBER = matching(rf"{SPEC_OF_RUN}|files/(0|[1-9][0-9]{{0,4}})\.net", "a text of the net")


def _asked(value: Any, at: str) -> tuple[str, str, str]:
    by, wrote, name = many(text(), 3).take(value, at)
    return _MEMBER.take(by, f"{at}[0]"), wrote, _MEMBER.take(name, f"{at}[2]")


_ASKED = member("asked", many(Kind("a list of 3 texts", _asked)))
_AGAIN = "restore the file from a copy"


class Opened(NamedTuple):
    """The text of a spec, the settings of its parameters, and the files that it reads, if known."""

    source: Source
    settings: Mapping[str, Setting]
    files: ResolvedFiles | None


def opened(spec: str | Path, settings: Mapping[str, Setting]) -> Opened:
    """Read a spec by its path or bundled name, or the spec of a run directory.

    Args:
        spec: the path of a spec or of a run directory, or the name of a bundled spec.
        settings: values of the net's parameters; a run has its own.

    Raises:
        TypeError: ``spec`` is not a path or a name.
        SpecError: the spec cannot be read, or settings are given for a run.
    """
    require_type("spec", spec, (str, os.PathLike), NAMED)
    if not os.path.isfile(os.path.join(spec, RUN)):
        return Opened(read(spec), settings, None)
    for key in settings:
        message = f"`{spec}` is a run, which has its parameters already: `{key}` cannot be set"
        span = Span(Source(f"--set {key}", key), 0, len(key))
        help = "use the spec instead of the run to set it"
        raise SpecError([Diagnostic("NS120", message, span, help=help)])
    try:
        return _of_a_run(Path(spec))
    except DataError as error:
        raise unreadable(str(spec), str(error), "use another run, or a spec") from None


def _of_a_run(directory: Path) -> Opened:
    parameters = read_member(directory / RUN, _PARAMETERS, _AGAIN)
    asked = read_member(directory / RUN, _ASKED, _AGAIN)
    sources = {}
    for name in {SPEC_OF_RUN, *(name for _, _, name in asked)}:
        path = directory / name
        sources[name] = decode(str(path), read_plain(path, MAX_BYTES + 1), path)
    files = {(sources[by].name, wrote): sources[name] for by, wrote, name in asked if by in sources}
    return Opened(sources[SPEC_OF_RUN], parameters, files)
