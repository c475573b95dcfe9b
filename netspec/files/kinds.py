"""The kinds of files that netspec writes, and which files they may replace.

1. A file may replace an empty file, or a file of the same kind.  The kind is determined from the
   content, not the name.  ``force`` also replaces a file of another kind.
2. The suffix of one kind is an error for another kind.  Any other suffix, or none, is allowed.
3. A pipe, a terminal or a descriptor such as ``/dev/stdout`` does not have a kind.
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
"""The number of bytes at the beginning of a file from which its kind is determined."""

Recognises = Callable[[bytes, Path], bool]
"""Return True if a file is of a kind, given its first :data:`HEAD` bytes and its path."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: as messages show it, with an article.
        suffixes: the suffixes of this kind.  No other kind has them, except that a description is
            a kind of JSON.
        recognises: returns True if a file is of this kind.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    recognises: Recognises = lambda head, path: False


def _begins(pattern: bytes) -> Recognises:
    return lambda head, path: re.match(pattern, head, re.DOTALL) is not None


def _zip_with(*members: str) -> Recognises:
    """Return a function that recognises a zip with these members, in its root or in a folder."""

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
# ONNX has no signature: field 1 is the version of the format, and one of the fields 2 to 7
# (producer, its version, domain, version of the model, text, graph) follows
ONNX = FileKind("an ONNX model", (".onnx",), _begins(rb"\x08[\x01-\x3f][\x12\x1a\x22\x28\x32\x3a]"))
PT2 = FileKind("a PyTorch program", (".pt2",), _zip_with("archive_format"))
WEIGHTS = FileKind("a safetensors file", (".safetensors",), _is_safetensors)
PNG = FileKind("a PNG image", (".png",), _begins(rb"\x89PNG\r\n\x1a\n"))
SVG = FileKind("an SVG drawing", (".svg",), _begins(rb"\s*(<\?xml.*)?<svg\b"))
PDF = FileKind("a PDF document", (".pdf",), _begins(rb"%PDF-"))
DOT = FileKind("a graph", (".dot",), _begins(rb'\s*(strict\s+)?(di)?graph(\s+[\w"]+)?\s*\{'))
ROWS = FileKind("a table of answers", (".csv",), _begins(rb"example,class,answer,score,place,"))
REPORT = FileKind(
    "a report", (".html", ".htm"), _begins(rb'<!doctype html>.{,200}content="netspec report ')
)
FOLDER = FileKind("a folder")

# netspec does not write the kinds below as outputs; they are here because messages name them, and
# because their suffixes must not be used for other kinds
SPEC = FileKind("a spec", (".net",), _begins(rb"(\s|#[^\n]*\n)*(net|import|block)\s"))
JPEG = FileKind("a JPEG image", (".jpg", ".jpeg"), _begins(rb"\xff\xd8\xff"))
PICKLE = FileKind("a pickle", (".pt", ".pth", ".ckpt", ".pkl"), _is_pickle)
_DESCRIBES = rb'\{\s*"kind": "netspec\.description"'
JSON = FileKind("JSON", (".json",), _begins(rb"\s*(?!" + _DESCRIBES + rb")[\[{]"))
# written next to another file, with its name plus .json
DESCRIPTION = FileKind("a description of a net", (".json",), _begins(_DESCRIBES))
PYTHON = FileKind("a program", (".py", ".ipynb", ".sh"), _begins(rb"#!"))
PROTOTXT = FileKind(
    "a Caffe net",
    (".prototxt",),
    _begins(rb'(\s|#[^\n]*\n)*((name|input)\s*:\s*["\']|layers?\s*\{)'),
)
# a protobuf that begins with the name of the net, and goes on with a layer or an input
CAFFEMODEL = FileKind(
    "a Caffe weights file", (".caffemodel",), _begins(rb"\x0a[\x01-\x7f][ -~]+(\x12|\x1a|\xa2\x06)")
)
MATLAB = FileKind("a MATLAB file", (".mat",), _begins(rb"MATLAB "))
DARKNET = FileKind("a Darknet net", (".cfg",), _begins(rb"(\s|#[^\n]*\n)*\[net(work)?\]\s"))
KERAS = FileKind("a Keras model", (".keras",), _zip_with("config.json", "model.weights.h5"))
HDF5 = FileKind("an HDF5 file", (".h5", ".hdf5"), _begins(rb"\x89HDF\r\n\x1a\n"))
TENSORFLOW = FileKind("a TensorFlow graph", (".pb",))
TFLITE = FileKind("a TensorFlow Lite model", (".tflite",), _begins(rb"....TFL3"))


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
    ARTIFACT, ONNX, PT2, WEIGHTS, PNG, SVG, PDF, DOT, ROWS, REPORT, SPEC, JPEG, PICKLE, PYTHON,
    PROTOTXT, CAFFEMODEL, MATLAB, DARKNET, KERAS, HDF5, TENSORFLOW, TFLITE, JSON, DESCRIPTION,
)  # fmt: skip


def kind_of_name(path: Path) -> FileKind | None:
    """Return the kind to which the suffix of a name belongs, or None."""
    return next((kind for kind in KINDS if path.suffix.lower() in kind.suffixes), None)


def kind_of_content(path: Path) -> FileKind | None:
    """Return the kind of an existing file, or None if it is unknown.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return next((kind for kind in KINDS if kind.recognises(head, path)), None)


def description_of(path: Path) -> Path | None:
    """Return the path of an exported net's description; None if the net is written to a pipe."""
    return None if is_written_into(path) else path.with_name(f"{path.name}.json")


_FILES = MimeTypes()
"""The suffixes that Python itself knows, whatever the machine adds."""
_MORE_FILES = (
    ".7z",
    ".engine",
    ".gguf",
    ".mlmodel",
    ".npz",
    ".rar",
    ".zst",
)


def _is_name_of_a_file(path: Path) -> bool:
    """Return True if a name has a suffix of files: ``.zip``, but not ``.1`` or ``.old``."""
    is_known = any(_FILES.guess_type(f"name{path.suffix.lower()}"))
    return is_known or path.suffix.lower() in _MORE_FILES


def misnamed(path: Path, kind: FileKind) -> str:
    """Return why a name does not fit a file of this kind; an empty string if it does."""
    named = kind_of_name(path)
    if kind is FOLDER and named is None and _is_name_of_a_file(path):
        return (
            f"{path.suffix} is the suffix of a file, and a folder is to be written: give it a name "
            f"without it; an artifact that is a single file ends in {ARTIFACT.suffixes[0]}"
        )
    fits = named in (None, kind) or path.suffix.lower() in kind.suffixes
    if fits or descriptor_of(path) is not None:
        return ""
    way_out = f"that ends in {kind.suffixes[0]}" if kind.suffixes else "without this suffix"
    return (
        f"{path.suffix} is the suffix of {named.name if named else ''}, "
        f"and the output is {kind.name}: use a name {way_out}"
    )


def replaced_kind(path: Path, kind: FileKind) -> str:
    """Return why a file of this kind may not replace the present one; an empty string if it may.

    Folders, pipes and devices are checked where they are written.
    """
    if kind is FOLDER or descriptor_of(path) is not None:
        return ""
    try:
        status = path.stat()
    except OSError:  # there is no file, or writing it raises an error that says what is wrong
        return ""
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return ""
    try:
        present = kind_of_content(path)
    except OSError:  # a file that may not be read could be of any kind
        present = None
    if present is kind:
        return ""
    actual = f"{present.name}, " if present else ""
    return f"the existing file is {actual}not {kind.name}"


def require_place(path: Path, kind: FileKind, *, force: bool = False) -> None:
    """Check that a file of a kind may be written to a path (rules 1 and 2).

    Args:
        path: of the file.
        kind: of the file.
        force: allow to replace a file of another kind.

    Raises:
        DataError: the name has the suffix of another kind, or a file of another kind exists.
    """
    if problem := misnamed(path, kind):
        raise DataError(f"cannot write {path}: {problem}")
    if not force and (problem := replaced_kind(path, kind)):
        raise DataError(f"cannot write {path}: {problem}: use another name, or force=True")
