"""The parameters of a net as a safetensors file, whose header follows from the net alone.

A header that is known need not be parsed: the file's is compared with it byte by byte.  Tensors
follow in the order of the spec, each read once into memory of its own; what was read is hashed
while the next piece comes in.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import BinaryIO

import torch
from torch import Tensor

from netspec.artifact.manifest import DTYPES, dtype_name
from netspec.artifact.reading import fill
from netspec.backends.compiled import Compiled
from netspec.backends.reference import require_memory
from netspec.naming import parameter_names
from netspec.net import Net

PIECE = 2**23
"""Bytes that are read and hashed at a time."""


def header(net: Net, dtype: torch.dtype) -> bytes:
    """What stands before the tensors: its own length in 8 bytes, then JSON, filled up with spaces
    to a multiple of 8 bytes."""
    entries, end = {}, 0
    for name, parameter, _ in parameter_names(net.graph):
        start, end = end, end + parameter.elements * dtype.itemsize
        entries[name] = {
            "dtype": DTYPES[dtype_name(dtype)],
            "shape": list(parameter.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def size(net: Net, dtype: torch.dtype) -> int:
    """The bytes of the whole file."""
    held = sum(parameter.elements for _, parameter, _ in parameter_names(net.graph))
    return len(header(net, dtype)) + held * dtype.itemsize


def pieces(model: Compiled) -> Iterator[bytes | memoryview]:
    """The file, a piece at a time."""
    dtype, tensors = model.lowered.dtype, model.state_dict()
    yield header(model.net, dtype)
    for name, _, _ in parameter_names(model.net.graph):
        tensor = tensors.pop(name)
        assert tensor.dtype == dtype
        yield _bytes_of(tensor.detach().cpu())


def read(file: BinaryIO, net: Net, dtype: torch.dtype) -> tuple[dict[str, Tensor] | None, str]:
    """The tensors by name, and the digest of the file, which has the right :func:`size`.

    No tensors if its header is not the net's.

    Raises:
        EOFError: the file ended meanwhile.
        MemoryError: the machine has less memory than the parameters take.
    """
    require_memory(net, dtype)
    wanted, digest, tensors = header(net, dtype), sha256(), {}
    given = bytearray(len(wanted))
    fill(file, memoryview(given))
    digest.update(given)
    # SHA-256 takes longer than reading what is in the page cache; both leave Python to others
    with ThreadPoolExecutor(1) as hashing:
        for name, parameter, _ in parameter_names(net.graph):
            tensor = torch.empty(parameter.shape, dtype=dtype)
            memory = _bytes_of(tensor)
            for start in range(0, len(memory), PIECE):
                piece = memory[start : start + PIECE]
                fill(file, piece)
                hashing.submit(digest.update, piece)
            tensors[name] = tensor
    return tensors if given == wanted else None, digest.hexdigest()


def _bytes_of(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data
