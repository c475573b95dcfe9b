"""The kinds of files that netspec writes, and what may be written over.

1. A file takes the place of nothing, of an empty file, or of a file of its own kind.  The kind is
   what the content shows, not what the name says; only ``force`` replaces another kind.
2. A name says what is in the file: a suffix of one kind is refused for another.  Other suffixes, or
   none, fit any kind.
3. What is written into, as a pipe or ``/dev/stdout`` is, has no kind.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from mimetypes import MimeTypes
from pathlib import Path

from netspec.errors import DataError
from netspec.files.writing import descriptor_of, is_written_into

HEAD = 4096
"""Bytes from the beginning of a file that show its kind."""

Recognises = Callable[[bytes, Path], bool]
"""Takes the head of a file and its path."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: as messages say it, with its article.
        suffixes: those that only this kind has; only a description is a kind of JSON as well.
        recognises: whether a file is of this kind.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    recognises: Recognises = lambda head, path: False


def _begins(pattern: bytes) -> Recognises:
    return lambda head, path: re.match(pattern, head, re.DOTALL) is not None


def _zip_with(*members: str) -> Recognises:
    """Return what recognises a zip that has all of these members, in its root or one folder."""

    def recognises(head: bytes, path: Path) -> bool:
        if not head.startswith(b"PK\x03\x04"):
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
            return False
        return {*members} <= {*names} | {name.partition("/")[2] for name in names}

    return recognises


def _is_safetensors(head: bytes, path: Path) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") + 8 <= path.stat().st_size


def _is_pickle(head: bytes, path: Path) -> bool:
    return re.match(rb"\x80[\x02-\x05]", head) is not None or _zip_with("data.pkl")(head, path)


ARTIFACT = FileKind("an artifact", (".netspec",), _zip_with("manifest.json", "spec.net"))
# the version of the format, then the producer, its version, domain, model version, text or graph
ONNX = FileKind("an ONNX model", (".onnx",), _begins(rb"\x08[\x01-\x3f][\x12\x1a\x22\x28\x32\x3a]"))
PT2 = FileKind("a PyTorch program", (".pt2",), _zip_with("archive_format"))
WEIGHTS = FileKind("a safetensors file", (".safetensors",), _is_safetensors)
PNG = FileKind("a PNG image", (".png",), _begins(rb"\x89PNG\r\n\x1a\n"))
SVG = FileKind("an SVG drawing", (".svg",), _begins(rb"\s*(<\?xml.*)?<svg\b"))
DOT = FileKind("a graph", (".dot",), _begins(rb'\s*(strict\s+)?(di)?graph(\s+[\w"]+)?\s*\{'))
ROWS = FileKind("a table of answers", (".csv",), _begins(rb"example,class,answer,score,place,"))
FOLDER = FileKind("a folder")

# not written here, but said in messages, and their suffixes are those of nothing else
SPEC = FileKind("a spec", (".net",), _begins(rb"(\s|#[^\n]*\n)*(net|import|block)\s"))
JPEG = FileKind("a JPEG image", (".jpg", ".jpeg"), _begins(rb"\xff\xd8\xff"))
PICKLE = FileKind("a pickle", (".pt", ".pth", ".ckpt", ".pkl"), _is_pickle)
_DESCRIBES = rb'\{\s*"kind": "netspec\.description"'
JSON = FileKind("JSON", (".json",), _begins(rb"\s*(?!" + _DESCRIBES + rb")[\[{]"))
# written beside another file, whose name it has, with .json
DESCRIPTION = FileKind("a description of a net", (".json",), _begins(_DESCRIBES))
PYTHON = FileKind("a program", (".py", ".ipynb", ".sh"), _begins(rb"#!"))


def artifact_kind(path: Path) -> FileKind:
    """Return the kind of file that an artifact is at a path: a single file, or a folder."""
    return ARTIFACT if path.suffix in ARTIFACT.suffixes else FOLDER


FORMATS = {"artifact": ARTIFACT, "pt2": PT2, "onnx": ONNX}
"""The formats of a saved net: our own, and those of the plain net for PyTorch and for ONNX."""


def format_of(path: Path | None, format: str | None = None) -> str:
    """Return the format to save in: ``format``, or that of the suffix of the path."""
    suffix = "" if path is None else path.suffix.lower()
    named = (name for name, kind in FORMATS.items() if suffix in kind.suffixes)
    return format or next(named, "artifact")


def kind_of_format(path: Path, format: str) -> FileKind:
    """Return the kind of file that a format is at a path."""
    return artifact_kind(path) if format == "artifact" else FORMATS[format]


KINDS = (
    ARTIFACT, ONNX, PT2, WEIGHTS, PNG, SVG, DOT, ROWS, SPEC, JPEG, PICKLE, PYTHON, JSON,
    DESCRIPTION,
)  # fmt: skip


def kind_of_name(path: Path) -> FileKind | None:
    """Return the kind whose suffix a name has, if it is that of one."""
    return next((kind for kind in KINDS if path.suffix.lower() in kind.suffixes), None)


def kind_of_content(path: Path) -> FileKind | None:
    """Return the kind of a file that is there, if it is known.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return next((kind for kind in KINDS if kind.recognises(head, path)), None)


def description_of(path: Path) -> Path | None:
    """Return where the description of an exported net lies; None beside a pipe or a device."""
    return None if is_written_into(path) else path.with_name(f"{path.name}.json")


_FILES = MimeTypes()
"""The suffixes that Python itself knows, whatever the machine adds."""
_MORE_FILES = (
    ".7z",
    ".engine",
    ".gguf",
    ".h5",
    ".mlmodel",
    ".npz",
    ".pb",
    ".rar",
    ".tflite",
    ".zst",
)


def _is_name_of_a_file(path: Path) -> bool:
    """Return True if a name has a suffix of files: ``.zip``, but not ``.1`` or ``.old``."""
    is_known = any(_FILES.guess_type(f"name{path.suffix.lower()}"))
    return is_known or path.suffix.lower() in _MORE_FILES


def misnamed(path: Path, kind: FileKind) -> str:
    """Return why a name does not fit what is to be written; an empty text if it does."""
    named = kind_of_name(path)
    if kind is FOLDER and named is None and _is_name_of_a_file(path):
        return (
            f"{path.suffix} is the suffix of a file, and a folder is to be written: give it a name "
            f"without it; an artifact that is a single file ends in {ARTIFACT.suffixes[0]}"
        )
    fits = named in (None, kind) or path.suffix.lower() in kind.suffixes
    if fits or descriptor_of(path) is not None:
        return ""
    way_out = f"a name that ends in {kind.suffixes[0]}" if kind.suffixes else "a name without it"
    return (
        f"{path.suffix} is the suffix of {named.name if named else ''}, "
        f"and {kind.name} is to be written: give it {way_out}"
    )


def replaced_kind(path: Path, kind: FileKind) -> str:
    """Return what would be lost if a file of a kind were written; an empty text if nothing is.

    Folders, pipes and devices have rules of their own, where they are written.
    """
    if kind is FOLDER or descriptor_of(path) is not None:
        return ""
    try:
        status = path.stat()
    except OSError:  # nothing is there, or the writing says what is wrong
        return ""
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return ""
    try:
        present = kind_of_content(path)
    except OSError:  # who may not read a file does not know what would be lost
        present = None
    if present is kind:
        return ""
    name = "another kind of file" if present is None else present.name
    return f"{name} is there, and {kind.name} is to be written"


def require_place(path: Path, kind: FileKind, *, force: bool = False) -> None:
    """Check that a file of a kind may be written at a path (rules 1 and 2).

    Args:
        path: where it is to be written.
        kind: what it is.
        force: replace a file of another kind.

    Raises:
        DataError: the name is that of another kind, or a file of another kind is there.
    """
    if problem := misnamed(path, kind):
        raise DataError(f"cannot write {path}: {problem}")
    if not force and (problem := replaced_kind(path, kind)):
        raise DataError(f"cannot write {path}: {problem}: name another file, or use force=True")
