"""Reading a spec from a file, or by its bundled name."""

from __future__ import annotations

import re
from pathlib import Path

from netspec.files.reading import reason_of
from netspec.ir.guess import did_you_mean
from netspec.ir.source import Source, Span
from netspec.language.diagnostics import Diagnostic, SpecError
from netspec.language.limits import MAX_BYTES

SUFFIX = ".net"
BUNDLED = Path(__file__).parent.parent / "specs"
CLASSES = BUNDLED / "classes"
LIST = ".txt"
"""The suffix of a list of class names, one a line."""


def bundled() -> list[str]:
    """The names of the specs that come with netspec."""
    return sorted(path.stem for path in BUNDLED.glob(f"*{SUFFIX}"))


def class_lists() -> list[str]:
    """Return the names of the lists of class names that come with netspec."""
    return sorted(path.stem for path in CLASSES.glob(f"*{LIST}"))


def read(spec: str | Path, shown: str = "") -> Source:
    """Read a spec from a path or by its bundled name; raise SpecError if it cannot be read.

    ``shown`` is its name in messages, by default the one it was asked for by.
    """
    path, name = Path(spec), shown or str(spec)
    try:
        if name in bundled() and not path.is_file():
            path = BUNDLED / f"{name}{SUFFIX}"
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise _unreadable(name, "it is a directory", "name a .net file inside it") from None
    except FileNotFoundError:
        raise _unreadable(name, "there is no such file", _where_specs_are(name)) from None
    except (OSError, ValueError) as error:
        raise _unreadable(name, reason_of(error), "check the path and its permissions") from None
    return decode(name, data, path)


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


def _unreadable(name: str, reason: str, help: str) -> SpecError:
    message = f"cannot read `{name}`: {reason}"
    return _rejected(Source(name, ""), 0, "NS001", message, help)


def _rejected(source: Source, offset: int, code: str, message: str, help: str) -> SpecError:
    span = Span(source, offset, min(offset + 1, len(source.text)))
    return SpecError([Diagnostic(code, message, span, help=help)])


def _where_specs_are(name: str) -> str:
    names = bundled()
    guess = did_you_mean(Path(name).stem, names)
    return guess or f"give the path of a .net file, or a bundled name: {', '.join(names)}"
