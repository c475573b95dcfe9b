"""Recognise files of weights that netspec did not write."""

from __future__ import annotations

from pathlib import Path

from netspec.errors import DataError
from netspec.files.kinds import WEIGHTS, kind_of_content
from netspec.files.tensors import opened_tensors
from netspec.runtime.description import KEY


def is_foreign(path: Path) -> bool:
    """Return True if a file is not a safetensors file that describes a net of netspec.

    False if it cannot be read: the reader of netspec's own files then says why.
    """
    try:
        if not path.is_file():
            return False
        if kind_of_content(path) is not WEIGHTS:
            return path.stat().st_size > 0
        with opened_tensors(path) as file:
            return KEY not in file.notes
    except (OSError, DataError):
        return False
