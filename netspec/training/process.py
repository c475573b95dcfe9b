"""What PyTorch is set to in this process while a run learns: threads, and determinism."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from netspec.training.settings import Settings


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of CPU threads meanwhile: sums are split by it, and so their rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def determinism(settings: Settings) -> Iterator[None]:
    """Make PyTorch refuse nondeterministic operations meanwhile, if the settings ask for it."""
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
