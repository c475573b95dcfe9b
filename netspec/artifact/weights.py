"""The parameters of a net as a safetensors file whose header is a function of the net.

So the header is not parsed when the file is read, but compared with the expected bytes.  Tensors
are in the order of the spec.
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
    """Return the types and shapes of a net's tensors by name, in the order of the file."""
    return {
        name: Stored(dtype, tuple(parameter.shape))
        for name, parameter, _ in parameter_names(net.graph)
    }


def header(net: Net, dtype: torch.dtype) -> bytes:
    """Return the header of the file."""
    return tensors.header(stored(net, dtype))


def headers(net: Net, dtype: torch.dtype) -> list[bytes]:
    """Return the possible headers of the file: with the present names of tensors, and with those of
    old versions."""
    names, now = earlier_names(net.graph), stored(net, dtype)
    then = tensors.header({names[name]: tensor for name, tensor in now.items()})
    return list(dict.fromkeys([header(net, dtype), then]))


def sizes(net: Net, dtype: torch.dtype) -> set[int]:
    """Return the possible sizes of the file in bytes."""
    return {len(header) + _content(net, dtype) for header in headers(net, dtype)}


def _content(net: Net, dtype: torch.dtype) -> int:
    """Return the total size of the tensors in bytes."""
    return sum(tensor.nbytes for tensor in stored(net, dtype).values())


def pieces(values: dict[str, Tensor], net: Net, dtype: torch.dtype) -> Iterator[bytes | memoryview]:
    """Yield the content of the file in pieces.

    Each tensor is removed from ``values``, by name, so that its memory can be freed.
    """
    yield header(net, dtype)
    for name, _, _ in parameter_names(net.graph):
        tensor = values.pop(name)
        assert tensor.dtype == dtype
        yield bytes_of(tensor.detach().cpu())


def read(
    file: BinaryIO, net: Net, dtype: torch.dtype, size: int
) -> tuple[dict[str, Tensor] | None, dict[str, Tensor], str]:
    """Return the tensors by name, those that are not finite, and the digest of the file.

    Args:
        file: at the first byte of the member.
        net: the net of the artifact.
        dtype: of the tensors.
        size: of the file in bytes; one of :func:`sizes`.

    Returns:
        None instead of the tensors if the header is not the net's.  The other two in both cases,
        so that the caller can report damage first.

    Raises:
        EOFError: the file became shorter.
        MemoryError: the parameters take more memory than the machine has.
    """
    require_memory(net, dtype)
    actual = bytearray(size - _content(net, dtype))
    fill(file, memoryview(actual))
    digest = sha256(actual)
    loaded, not_finite = read_in_order(file, stored(net, dtype), digest)
    is_own = actual in headers(net, dtype)
    return loaded if is_own else None, not_finite, digest.hexdigest()
