"""Data sets: images with labels, read from files in their published formats.

``opening`` chooses the reader for a name such as ``mnist:DIR``.  A ``Dataset`` is one split.  The
modules that prepare images are in this folder too; they do not import the readers, so that
classifying an image does not load them.
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
