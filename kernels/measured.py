"""The fastest configurations that were measured on the GPU of this process.

A measurement, such as that of ``netspec.compile(net, measured=True)``, keeps them here, and every
launch whose caller does not name a configuration looks here first: the plan of a net, training, and
``torch.ops.netspec``.  They are stored on disk, so that later processes use them as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from threading import Lock
from typing import Protocol, TypeVar

import torch
import triton

from netspec.files.cache import Store, digest
from netspec.files.members import text


class Named(Protocol):
    """A configuration of a kernel, with its name among those of a problem."""

    @property
    def name(self) -> str: ...


Configuration = TypeVar("Configuration", bound=Named)

_tables: dict[str, dict[str, str]] = {}
"""By the name of a GPU: the name of the fastest configuration of each problem."""

_lock = Lock()


def keep(problem: str, name: str) -> None:
    """Keep the name of the fastest configuration of a problem on the GPU of this process."""
    gpu = current_gpu()
    if gpu is None:
        return
    with _lock:
        if _table(gpu).get(problem) != name:
            # Read again: another process may have written.
            _tables[gpu] = {**_store(gpu).read(), **_tables[gpu], problem: name}
            _store(gpu).write(_tables[gpu])


def fastest(
    problem: str, configurations: Callable[[], Iterable[Configuration]]
) -> Configuration | None:
    """Return the fastest configuration of a problem, or None if it was not measured.

    ``configurations`` returns those that the problem can have; it is called only if needed, as
    this runs at every launch.
    """
    gpu = current_gpu()
    if gpu is None:
        return None
    with _lock:
        name = _table(gpu).get(problem)
    return None if name is None else next((c for c in configurations() if c.name == name), None)


def current_gpu() -> str | None:
    """Return the name of the current GPU, or None if this process does not use one."""
    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else None


def _table(gpu: str) -> dict[str, str]:
    if gpu not in _tables:
        _tables[gpu] = _store(gpu).read()
    return _tables[gpu]


def _store(gpu: str) -> Store[str]:
    return Store("kernels", {**_versions(), "device": gpu}, text(100))


@cache
def _versions() -> dict[str, str]:
    return {
        "sources": digest("netspec.kernels"),
        "torch": torch.__version__,
        "triton": triton.__version__,
    }
