"""Reading and writing safetensors files, which contain tensors and no code.

A file is the length of a header (8 bytes, little-endian), the header in JSON, and the bytes of the
tensors without gaps.  In files of netspec, the header also has ``sha256``, the digest of the rest
of the header and of the tensors, so damage is detected.  Files of other programs do not have it.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.finite import are_finite
from netspec.files.members import Kind, Malformed, many, one_of, parsed, record, shown, table, text
from netspec.files.members import whole as whole_number
from netspec.files.reading import fill, opened, reason_of

if TYPE_CHECKING:
    from _hashlib import HASH

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""PyTorch's types by their names in safetensors."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}

LARGEST_HEADER = 2**24
"""The largest size of a header in bytes: about 100,000 tensors."""

PIECE = 2**20
"""The number of bytes that are read or written, and hashed, at a time.

A piece is still in the cache when it is checked after it was read.
"""

NOTES, DIGEST = "__metadata__", "sha256"
_UNKNOWN = "0" * 64
"""A placeholder of the digest's length, until the digest is known."""

_OTHERS = "netspec weights SPEC --from FILE converts .pth, .h5, .caffemodel, .onnx and .mat files"


class Stored(NamedTuple):
    """The type and shape of a tensor in a header."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


# ----------------------------------------------------------------------------------------- writing


def header(tensors: Mapping[str, Stored], notes: Mapping[str, str] | None = None) -> bytes:
    """Return the header of a file: the length in 8 bytes, then JSON, padded to a multiple of 8.

    Args:
        tensors: in the order of their bytes in the file.
        notes: the strings of the file's metadata.
    """
    entries, end = dict[str, Any](), 0
    if notes is not None:
        entries[NOTES] = dict(notes)
    for name, stored in tensors.items():
        start, end = end, end + stored.nbytes
        entries[name] = {
            "dtype": _NAMES[stored.dtype],
            "shape": list(stored.shape),
            "data_offsets": [start, end],
        }
    content = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    return struct.pack("<Q", len(content)) + content


def write_tensors(
    file: BinaryIO, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None
) -> None:
    """Write tensors, and strings as metadata, with their digest.

    The file must be seekable: the digest is written into the header last.
    """
    # Wide types first, as safetensors does: each tensor then begins at a multiple of its itemsize.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    described = {name: Stored(tensors[name].dtype, tuple(tensors[name].shape)) for name in order}
    begin = header(described, {DIGEST: _UNKNOWN, **(notes or {})})
    digest = sha256(_digested(begin[8:]))
    file.write(begin)
    # Hashing takes longer than writing to the page cache, so they run in parallel: both release the
    # interpreter lock.
    with ThreadPoolExecutor(1) as hashing:
        for name in order:
            for piece in _pieces(bytes_of(tensors[name].detach().cpu())):
                done = hashing.submit(digest.update, piece)
                file.write(piece)
                done.result()
    file.seek(begin.index(_UNKNOWN.encode()))
    file.write(digest.hexdigest().encode())


def bytes_of(tensor: Tensor) -> memoryview:
    """Return the bytes of a CPU tensor, without a copy if it is contiguous."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _pieces(memory: memoryview) -> Iterator[memoryview]:
    return (memory[start : start + PIECE] for start in range(0, len(memory), PIECE))


def _digested(content: bytes | bytearray) -> bytes:
    """Return the part of a header that the digest covers: all but the digest, in canonical JSON."""
    entries = json.loads(content)
    entries[NOTES].pop(DIGEST)
    return json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()


# ----------------------------------------------------------------------------------------- reading


class TensorFile:
    """An open safetensors file with a checked header; :meth:`read` reads the tensors.

    Attributes:
        tensors: types and shapes by name, in the order of their bytes in the file.
        notes: the strings of the file's metadata.
        not_finite: the tensors with a value that is NaN or infinite, by name, once they are read.

    Raises:
        DataError: it is not a safetensors file, or the header is damaged.
        EOFError: the file became shorter.
    """

    def __init__(self, file: BinaryIO, path: Path, what: str, advice: str) -> None:
        self._file, self._path, self._what = file, path, what
        size = os.fstat(file.fileno()).st_size
        length = struct.unpack("<Q", _bytes(file, 8))[0] if size >= 8 else 0
        if not 2 <= length <= min(size - 8, LARGEST_HEADER):
            raise DataError(
                f"cannot read {what} from {path}: it is not a complete safetensors file; {advice}"
            )
        self._header = _bytes(file, length)
        entries, notes = parsed(self._header, str(path), _HEADER, advice)
        self.notes: dict[str, str] = notes
        self.tensors: dict[str, Stored] = {}
        self.not_finite: dict[str, Tensor] = {}
        end = 0
        for name, (stored, offsets) in sorted(entries.items(), key=lambda entry: entry[1][1]):
            start, end = end, end + stored.nbytes
            if offsets != (start, end):
                raise self._damaged(f"{shown(name)} does not begin where the tensor before it ends")
            self.tensors[name] = stored
        if size != 8 + length + end:
            described = 8 + length + end
            raise self._damaged(f"it has {size:,} bytes, and its header describes {described:,}")

    def read(self) -> dict[str, Tensor]:
        """Return the tensors by name; can be called once.

        Raises:
            DataError: the tensors are damaged, or do not fit in memory.
            EOFError: the file became shorter.
        """
        expected, digest = self.notes.get(DIGEST), sha256()
        if expected is not None:
            digest.update(_digested(self._header))
        try:
            tensors, self.not_finite = read_in_order(self._file, self.tensors, digest)
        except (RuntimeError, MemoryError):
            raise DataError(
                f"cannot read {self._what} from {self._path}: not enough memory"
            ) from None
        if expected is not None and expected != digest.hexdigest():
            raise self._damaged("its digest is not that of its content")
        return tensors

    def _damaged(self, problem: str) -> DataError:
        return DataError(
            f"cannot read {self._what} from {self._path}: the file is damaged: {problem}; "
            "restore it from a copy"
        )


@contextmanager
def opened_tensors(
    path: Path, what: str = "weights", advice: str = _OTHERS
) -> Iterator[TensorFile]:
    """Open a safetensors file, which must be a plain file and not a link.

    The path is opened once: a file that replaces it during reading is not seen.

    Args:
        path: of the file.
        what: what is read from it, for messages.
        advice: what to do if it is another kind of file, for messages.

    Raises:
        DataError: the file cannot be opened or is damaged; also for an OSError or EOFError that the
            block raises.
    """
    try:
        with opened(path) as file:
            yield TensorFile(file, path, what, advice)
    except FileNotFoundError:
        raise DataError(f"cannot read {what} from {path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"cannot read {what} from {path}: {reason_of(error)}") from None
    except EOFError:
        raise DataError(
            f"cannot read {what} from {path}: it became shorter while it was read"
        ) from None


def read_in_order(
    file: BinaryIO, tensors: Mapping[str, Stored], digest: HASH
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Read consecutive tensors, each into its own memory; hash and check them on the way.

    Args:
        file: at the first tensor's first byte.
        tensors: types and shapes by name, in the order of the file.
        digest: updated in place with the bytes of the tensors.

    Returns:
        The tensors by name, and those of them with a value that is NaN or infinite.  The caller
        reports damage first: it may be the cause of such a value.

    Raises:
        EOFError: the file is too short.
    """
    loaded, not_finite = dict[str, Tensor](), dict[str, Tensor]()
    # SHA-256 takes longer than reading from the page cache and checking, so they run in parallel:
    # all release the interpreter lock.
    with ThreadPoolExecutor(1) as hashing:
        for name, stored in tensors.items():
            tensor = torch.empty(stored.shape, dtype=stored.dtype)
            for piece in _pieces(bytes_of(tensor)):
                fill(file, piece)
                hashing.submit(digest.update, piece)
                if not are_finite(piece, stored.dtype):
                    not_finite[name] = tensor
            loaded[name] = tensor
    return loaded, not_finite


def _bytes(file: BinaryIO, length: int) -> bytearray:
    content = bytearray(length)
    fill(file, memoryview(content))
    return content


def _entry(dtype: str, shape: Sequence[int], data_offsets: tuple[int, ...]) -> Any:
    return Stored(DTYPES[dtype], tuple(shape)), data_offsets


_ENTRY = record(
    _entry,
    dtype=one_of(*DTYPES),
    shape=many(whole_number(0)).where(lambda shape: len(shape) <= 64, "at most 64 sizes"),
    data_offsets=many(whole_number(0), 2),
)


def _parts(value: Any, at: str) -> tuple[dict[str, Any], dict[str, str]]:
    if not isinstance(value, dict):
        raise Malformed(at, "is not an object")
    notes = table(text(LARGEST_HEADER)).take(value.pop(NOTES, {}), NOTES)
    return table(_ENTRY).take(value, at), notes


_HEADER: Kind[tuple[dict[str, Any], dict[str, str]]] = Kind("a header", _parts)
