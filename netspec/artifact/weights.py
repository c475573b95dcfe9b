"""The parameters of a net as a safetensors file, whose header follows from the net alone.

A header that is known need not be parsed: the file's is compared with it byte by byte.  Tensors
follow in the order of the spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO

import torch
from torch import Tensor

from netspec.files import tensors
from netspec.files.reading import fill
from netspec.files.tensors import Stored, bytes_of, read_in_order
from netspec.ir.parameter_names import earlier_names, parameter_names
from netspec.net import Net
from netspec.runtime.reference import require_memory


def stored(net: Net, dtype: torch.dtype) -> dict[str, Stored]:
    """Return the tensors of a net by name, in the order of the file."""
    return {
        name: Stored(dtype, tuple(parameter.shape))
        for name, parameter, _ in parameter_names(net.graph)
    }


def header(net: Net, dtype: torch.dtype) -> bytes:
    """Return the header of the file."""
    return tensors.header(stored(net, dtype))


def headers(net: Net, dtype: torch.dtype) -> list[bytes]:
    """Return the header of the file, and the one that it had if tensors were called otherwise."""
    names, now = earlier_names(net.graph), stored(net, dtype)
    then = tensors.header({names[name]: tensor for name, tensor in now.items()})
    return list(dict.fromkeys([header(net, dtype), then]))


def sizes(net: Net, dtype: torch.dtype) -> set[int]:
    """Return the bytes that the whole file may have."""
    return {len(header) + _content(net, dtype) for header in headers(net, dtype)}


def _content(net: Net, dtype: torch.dtype) -> int:
    """Return the bytes of the tensors."""
    return sum(tensor.nbytes for tensor in stored(net, dtype).values())


def pieces(values: dict[str, Tensor], net: Net, dtype: torch.dtype) -> Iterator[bytes | memoryview]:
    """Yield the file, a piece at a time, and take each tensor out of ``values``, by name."""
    yield header(net, dtype)
    for name, _, _ in parameter_names(net.graph):
        tensor = values.pop(name)
        assert tensor.dtype == dtype
        yield bytes_of(tensor.detach().cpu())


def read(
    file: BinaryIO, net: Net, dtype: torch.dtype, size: int
) -> tuple[dict[str, Tensor] | None, str]:
    """Return the tensors by name, and the digest of the file, which has one of the :func:`sizes`.

    Return None for the tensors if the header is not the net's.

    Raises:
        EOFError: the file became shorter meanwhile.
        MemoryError: the machine has less memory than the parameters take.
    """
    require_memory(net, dtype)
    actual = bytearray(size - _content(net, dtype))
    fill(file, memoryview(actual))
    digest = sha256(actual)
    loaded = read_in_order(file, stored(net, dtype), digest)
    return loaded if actual in headers(net, dtype) else None, digest.hexdigest()
