"""Recognise files of weights that netspec did not write."""

from __future__ import annotations

from pathlib import Path

from netspec.errors import DataError
from netspec.files.kinds import WEIGHTS, kind_of_content, kind_of_name
from netspec.files.tensors import opened_tensors
from netspec.pretrained.formats import MODULES
from netspec.runtime.description import KEY


def is_foreign(path: Path) -> bool:
    """Return True if a file has weights, and is not a safetensors file that describes a net.

    False if it cannot be read: the reader of netspec's own files then says why.
    """
    try:
        if not path.is_file():
            return False
        kind = kind_of_content(path) or kind_of_name(path)
        if kind is not WEIGHTS:
            return kind in MODULES
        with opened_tensors(path) as file:
            return KEY not in file.notes
    except (OSError, DataError):
        return False
