"""Data sets: images with labels, from files in the formats in which they are published.

``opening`` finds the reader by a name such as ``mnist:DIR``; a ``Dataset`` is one split.
"""

from __future__ import annotations

from netspec.data.dataset import Dataset, Example, Splits
from netspec.data.opening import open_data

__all__ = ["Dataset", "Example", "Splits", "open_data"]
