"""Data sets: images with labels, from files in the formats in which they are published.

``opening`` finds the reader by a name such as ``mnist:DIR``; a ``Dataset`` is one split.  What
prepares images, and is imported to classify them, stands here as well, and needs no reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netspec.data.dataset import Dataset, Example, Splits
    from netspec.data.opening import open_data

__all__ = ["Dataset", "Example", "Splits", "open_data"]


def __getattr__(name: str) -> Any:
    """Import the readers when they are first used."""
    if name not in __all__:
        raise AttributeError(f"module 'netspec.data' has no attribute {name!r}")
    from importlib import import_module

    module = "opening" if name == "open_data" else "dataset"
    return getattr(import_module(f"netspec.data.{module}"), name)
