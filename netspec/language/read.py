"""Read the text of a spec from a file, or by its bundled name."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from netspec.errors import require_type, warn_user
from netspec.files.kinds import (
    ARTIFACT,
    CAFFEMODEL,
    DARKNET,
    HDF5,
    JPEG,
    KERAS,
    ONNX,
    PICKLE,
    PNG,
    PROTOTXT,
    PT2,
    PYTHON,
    SPEC,
    TENSORFLOW,
    TFLITE,
    WEIGHTS,
    FileKind,
    kind_of_content,
    kind_of_name,
)
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
NAMED = "a path or the name of a bundled spec"
"""The forms of a spec, in messages."""

MANIFEST = "manifest.json"
"""The file of an artifact in a folder that shows what it is; ``artifact/`` writes it."""

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
    require_type("spec", spec, (str, os.PathLike), NAMED)
    name = os.fspath(spec)
    require_type("spec", name, str, NAMED)
    local = _local(name)
    if local is None and name in bundled():
        return read_bundled(name, shown)
    if local is not None and name in bundled():
        warn_user(
            f"{name} is the file {local} in this folder, not the bundled spec: "
            f"to use the bundled spec, rename the file or run in another folder"
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
    """Return the text of a spec; raise SpecError if the file cannot be read, or is another kind."""
    data = _bytes_of(path, name)
    kind = _other_kind(path)
    if kind is not None:
        help = _INSTEAD.get(kind, "give the path of a .net file, or the name of a bundled spec")
        raise unreadable(name, f"it is {kind.name}, not a spec", help)
    return decode(name, data, path)


def read_text(path: Path, name: str) -> Source:
    """Return the text of a file that is not a spec; raise SpecError if it cannot be read."""
    return decode(name, _bytes_of(path, name), path)


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise unreadable(name, *_of_a_directory(path, name)) from None
    except FileNotFoundError:
        raise unreadable(name, "there is no such file", _where_specs_are(path)) from None
    except (OSError, ValueError) as error:
        raise unreadable(name, reason_of(error), "check the path and its permissions") from None


def _other_kind(path: Path) -> FileKind | None:
    """Return the kind of a file that is not a spec, by its content or else by its name."""
    if not path.is_file():  # a pipe can be read only once
        return None
    try:
        content, named = kind_of_content(path), kind_of_name(path)
    except OSError:  # the file was removed after it was read
        return None
    # A program and a spec can begin alike, with `#!` or `import`: then the name decides.
    is_either = {content, named} == {PYTHON, SPEC}
    kind = named if content is None or is_either else content
    return None if kind is SPEC else kind


_COMPILED = "give the .net file that it was made from"
_WRITTEN = "write the net as a spec; `netspec explain syntax` shows how"
_NAMED = "--weights takes a safetensors file with the names of the spec's parameters"
_INSTEAD = {
    ARTIFACT: f"`netspec run` and `netspec bench` take artifacts; {_COMPILED}",
    ONNX: _COMPILED,
    PT2: _COMPILED,
    WEIGHTS: "weights come after the spec: netspec run SPEC IMAGE --weights FILE",
    PICKLE: "netspec loads no pickles: load the file in PyTorch, and save its module with "
    "netspec.save_weights as a safetensors file for --weights",
    PNG: "the spec comes before the images: netspec run SPEC IMAGE",
    JPEG: "the spec comes before the images: netspec run SPEC IMAGE",
    **dict.fromkeys((PYTHON, PROTOTXT, DARKNET, TENSORFLOW, TFLITE), _WRITTEN),
    **dict.fromkeys((KERAS, HDF5, CAFFEMODEL), f"{_WRITTEN}; {_NAMED}"),
}


def _of_a_directory(path: Path, name: str) -> tuple[str, str]:
    """Return what a directory is, and what to name instead."""
    if not name:
        return "the name is empty", "give the path of a .net file, or a bundled name"
    if (path / MANIFEST).is_file() and (path / SPEC_OF_RUN).is_file():
        return f"it is {ARTIFACT.name}, not a spec", f"name the spec in it: {path / SPEC_OF_RUN}"
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
            f"the text contains a control character, U+{ord(control[0]):04X}",
            "remove it; a spec contains printable characters, tabs and line ends",
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


def _where_specs_are(path: Path) -> str:
    """Return what may have been meant: specs of the folder come before a bundled one."""
    stem, names = path.name.removesuffix(SUFFIX), bundled()
    if stem in names:
        return f"to use the bundled spec, write `{stem}`"
    local = _local_specs(path.parent)
    meant = [local[name] for name in close_matches(stem, local)] + close_matches(stem, names, 1)
    *others, last = [f"`{name}`" for name in meant] or [""]
    if last:
        return f"did you mean {', '.join(others)}{' or ' * bool(others)}{last}?"
    listed = f" (here: {', '.join([*local.values()][:LISTED])})" if local else ""
    return f"give the path of a .net file{listed}, or a bundled name: {', '.join(names)}"


def _local_specs(folder: Path) -> dict[str, str]:
    """Return the paths of the specs in a folder by their names without the suffix."""
    with suppress(OSError, ValueError):
        return {path.stem: str(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}
    return {}
