"""Read the text of a spec from a file, or by its bundled name."""

from __future__ import annotations

import re
from pathlib import Path

from netspec.files.kinds import (
    ARTIFACT,
    JPEG,
    ONNX,
    PICKLE,
    PNG,
    PT2,
    PYTHON,
    SPEC,
    WEIGHTS,
    FileKind,
    kind_of_content,
    kind_of_name,
)
from netspec.files.reading import reason_of
from netspec.ir.guess import nearest
from netspec.ir.source import Source, Span
from netspec.language.diagnostics import Diagnostic, SpecError
from netspec.language.limits import MAX_BYTES

SUFFIX = ".net"
BUNDLED = Path(__file__).parent.parent / "specs"
CLASSES = BUNDLED / "classes"
LIST = ".txt"
"""The suffix of a list of class names, one per line."""
RUN, SPEC_OF_RUN = "run.json", "spec.net"
"""The files of a run directory that show what it is, and that have its spec."""

LISTED = 8
"""Specs of a folder that a message lists."""


def bundled() -> list[str]:
    """Return the names of the bundled specs."""
    return sorted(path.stem for path in BUNDLED.glob(f"*{SUFFIX}"))


def class_lists() -> list[str]:
    """Return the names of the bundled lists of class names."""
    return sorted(path.stem for path in CLASSES.glob(f"*{LIST}"))


def read(spec: str | Path, shown: str = "") -> Source:
    """Return the text of a spec.

    Args:
        spec: the path of a file, or the name of a bundled spec.
        shown: its name in messages; default: ``spec``.

    Raises:
        SpecError: the file cannot be read, or is not a spec.
    """
    path, name = Path(spec), shown or str(spec)
    try:
        if name in bundled() and not path.is_file():
            path = BUNDLED / f"{name}{SUFFIX}"
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        kind = _other_kind(path)
    except IsADirectoryError:
        raise unreadable(name, *_of_a_directory(path)) from None
    except FileNotFoundError:
        raise unreadable(name, "there is no such file", _where_specs_are(name)) from None
    except (OSError, ValueError) as error:
        raise unreadable(name, reason_of(error), "check the path and its permissions") from None
    if kind is not None:
        help = _INSTEAD.get(kind, "give the path of a .net file, or the name of a bundled spec")
        raise unreadable(name, f"it is {kind.name}, not a spec", help)
    return decode(name, data, path)


def _other_kind(path: Path) -> FileKind | None:
    """Return the kind of a file that is not a spec, by its content or else by its name."""
    if not path.is_file():  # a pipe can be read only once
        return None
    content, named = kind_of_content(path), kind_of_name(path)
    is_comment = content is PYTHON and named is SPEC  # `#!` begins a comment in a spec
    kind = named if content in (None, SPEC) or is_comment else content
    return None if kind is SPEC else kind


_COMPILED = "give the .net file that it was made from"
_INSTEAD = {
    ARTIFACT: f"`netspec run` and `netspec bench` take artifacts; {_COMPILED}",
    ONNX: _COMPILED,
    PT2: _COMPILED,
    WEIGHTS: "weights come after the spec: netspec run SPEC IMAGE --weights FILE",
    PICKLE: "netspec loads no pickles; weights are safetensors files, given with --weights",
    PNG: "the spec comes before the images: netspec run SPEC IMAGE",
    JPEG: "the spec comes before the images: netspec run SPEC IMAGE",
    PYTHON: "write the net as a spec; `netspec explain syntax` shows how",
}


def _of_a_directory(path: Path) -> tuple[str, str]:
    """Return what a directory is, and what to name instead."""
    if (path / RUN).is_file():
        return "it is a run directory", f"name the spec in it: {path / SPEC_OF_RUN}"
    specs = sorted(entry.name for entry in path.glob(f"*{SUFFIX}"))
    inside = f": {', '.join(specs[:LISTED])}" if specs else ""
    return "it is a directory", f"name a .net file inside it{inside}"


def decode(name: str, data: bytes, path: Path | None = None) -> Source:
    """Return a source from bytes; raise SpecError if they are too large, not UTF-8, or binary."""
    if len(data) > MAX_BYTES:
        raise _too_large(name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        raise _rejected(
            Source(name, before + "\N{REPLACEMENT CHARACTER}"),
            len(before),
            "NS002",
            f"the file is not UTF-8 text: byte 0x{error.object[error.start]:02x}",
            "save the file as UTF-8; a spec is plain text",
        ) from None
    return accept(Source(name, text, path))


def accept(source: Source) -> Source:
    """Return the source; raise SpecError if it is too large or has hidden characters."""
    if len(source.text) > MAX_BYTES:
        raise _too_large(source.name)
    control = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", source.text)
    if control:
        raise _rejected(
            source,
            control.start(),
            "NS003",
            f"the text holds a control character, U+{ord(control[0]):04X}",
            "remove it; a spec holds printable characters, tabs and line ends",
        )
    return source


def _too_large(name: str) -> SpecError:
    return _rejected(
        Source(name, ""),
        0,
        "NS004",
        f"the file is larger than {MAX_BYTES // 2**20} MiB",
        "a spec is a table of layers: put weights and data elsewhere, or split the net",
    )


def unreadable(name: str, reason: str, help: str) -> SpecError:
    """Return the error for a file that cannot be read."""
    message = f"cannot read `{name}`: {reason}"
    return _rejected(Source(name, ""), 0, "NS001", message, help)


def _rejected(source: Source, offset: int, code: str, message: str, help: str) -> SpecError:
    span = Span(source, offset, min(offset + 1, len(source.text)))
    return SpecError([Diagnostic(code, message, span, help=help)])


def _where_specs_are(name: str) -> str:
    """Return what may have been meant: a spec in the folder, before one that is bundled."""
    path, names = Path(name), bundled()
    try:
        here = sorted(entry.stem for entry in path.parent.glob(f"*{SUFFIX}"))
    except (OSError, ValueError):
        here = []
    near = [stem for stem in (path.stem, path.name) if stem in here]
    guess = near[0] if near else nearest(path.stem, [*here, *names])
    if guess:
        return (
            f"did you mean `{path.parent / guess}{SUFFIX}`?"
            if guess in here
            else (f"did you mean `{guess}`?")
        )
    listed = f" (here: {', '.join(f'{stem}{SUFFIX}' for stem in here[:LISTED])})" if here else ""
    return f"give the path of a .net file{listed}, or a bundled name: {', '.join(names)}"
