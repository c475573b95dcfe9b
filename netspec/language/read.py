"""Reading a spec from a file, or by its bundled name."""

from __future__ import annotations

import os
import re
import warnings
from contextlib import suppress
from pathlib import Path

from netspec.errors import require_type
from netspec.files.reading import reason_of
from netspec.ir.guess import close_matches
from netspec.ir.source import Source, Span
from netspec.language.diagnostics import Diagnostic, SpecError
from netspec.language.limits import MAX_BYTES

SUFFIX = ".net"
BUNDLED = Path(__file__).parent.parent / "specs"
CLASSES = BUNDLED / "classes"
LIST = ".txt"
"""The suffix of a list of class names, one per line."""
SPEC = "a path or the name of a bundled spec"
"""What a spec may be, in messages."""


def bundled() -> list[str]:
    """Return the names of the specs that come with netspec."""
    return sorted(path.stem for path in BUNDLED.glob(f"*{SUFFIX}"))


def class_lists() -> list[str]:
    """Return the names of the lists of class names that come with netspec."""
    return sorted(path.stem for path in CLASSES.glob(f"*{LIST}"))


def is_bundled(spec: str | Path) -> bool:
    """Return True if a spec is the name of a bundled one that no local file hides."""
    return str(spec) in bundled() and _local(str(spec)) is None


def read(spec: str | Path, shown: str = "") -> Source:
    """Read a spec from a path or by its bundled name.

    ``mynet`` is the first of these that exists: the file ``mynet``, the file ``mynet.net``, the
    bundled spec ``mynet``.

    Args:
        spec: the path or the name.
        shown: its name in messages; by default the name of the file that is read, as given.

    Raises:
        TypeError: ``spec`` is not a path or a name.
        SpecError: it cannot be read.

    Warns:
        UserWarning: a local file hides a bundled spec.
    """
    require_type("spec", spec, (str, os.PathLike), SPEC)
    name = os.fspath(spec)
    require_type("spec", name, str, SPEC)
    local = _local(name)
    if local is None and name in bundled():
        return read_bundled(name, shown)
    if local is not None and name in bundled():
        warnings.warn(
            f"{name} is the file {local} in this folder, not the bundled spec: "
            f"to use the bundled spec, rename the file or run in another folder",
            stacklevel=3,
        )
    path = local or name
    return _read(Path(path), shown or path)


def read_bundled(name: str, shown: str = "") -> Source:
    """Read a bundled spec, whatever files are in the current folder."""
    return _read(BUNDLED / f"{name}{SUFFIX}", shown or name)


def _local(name: str) -> str | None:
    """Return the path of the file that a name means, or None if there is no such file."""
    with suppress(OSError, ValueError):  # a name that no file can have
        return next((path for path in (name, f"{name}{SUFFIX}") if os.path.isfile(path)), None)
    return None


def _read(path: Path, name: str) -> Source:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise _unreadable(name, "it is a directory", "name a .net file inside it") from None
    except FileNotFoundError:
        raise _unreadable(name, "there is no such file", _suggestion(path)) from None
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


def _suggestion(path: Path) -> str:
    """Return a hint at what was meant by a path that does not exist: local files come first."""
    stem, names = path.name.removesuffix(SUFFIX), bundled()
    if stem in names:
        return f"to use the bundled spec, write `{stem}`"
    local = _local_specs(path.parent)
    meant = [local[name] for name in close_matches(stem, local)] + close_matches(stem, names, 1)
    *others, last = [f"`{name}`" for name in meant] or [""]
    if last:
        return f"did you mean {', '.join(others)}{' or ' * bool(others)}{last}?"
    return f"give the path of a .net file, or a bundled name: {', '.join(names)}"


def _local_specs(folder: Path) -> dict[str, str]:
    """Return the paths of the specs in a folder by their names without the suffix."""
    with suppress(OSError, ValueError):
        return {path.stem: str(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}
    return {}
