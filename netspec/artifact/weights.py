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
from netspec.ir.parameters import parameter_names
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.runtime.reference import require_memory


def stored(net: Net, dtype: torch.dtype) -> dict[str, Stored]:
    """The tensors of a net by name, in the order of the file."""
    return {
        name: Stored(dtype, tuple(parameter.shape))
        for name, parameter, _ in parameter_names(net.graph)
    }


def header(net: Net, dtype: torch.dtype) -> bytes:
    """What stands before the tensors."""
    return tensors.header(stored(net, dtype))


def size(net: Net, dtype: torch.dtype) -> int:
    """The bytes of the whole file."""
    return len(header(net, dtype)) + sum(one.nbytes for one in stored(net, dtype).values())


def pieces(model: Compiled) -> Iterator[bytes | memoryview]:
    """The file, a piece at a time."""
    dtype, held = model.lowered.dtype, model.state_dict()
    yield header(model.net, dtype)
    for name, _, _ in parameter_names(model.net.graph):
        tensor = held.pop(name)
        assert tensor.dtype == dtype
        yield bytes_of(tensor.detach().cpu())


def read(file: BinaryIO, net: Net, dtype: torch.dtype) -> tuple[dict[str, Tensor] | None, str]:
    """The tensors by name, and the digest of the file, which has the right :func:`size`.

    No tensors if its header is not the net's.

    Raises:
        EOFError: the file ended meanwhile.
        MemoryError: the machine has less memory than the parameters take.
    """
    require_memory(net, dtype)
    wanted = header(net, dtype)
    given = bytearray(len(wanted))
    fill(file, memoryview(given))
    digest = sha256(given)
    found = read_in_order(file, stored(net, dtype), digest)
    return found if given == wanted else None, digest.hexdigest()
