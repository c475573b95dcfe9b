"""Settings of PyTorch in this process during training: threads and determinism."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from netspec.training.settings import Settings


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of CPU threads for the body.

    PyTorch splits sums over threads, so their rounding depends on the number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def determinism(settings: Settings) -> Iterator[None]:
    """Make PyTorch raise an error for nondeterministic operations in the body, if set so."""
    if not settings.is_deterministic:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
