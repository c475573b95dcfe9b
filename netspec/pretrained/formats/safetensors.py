"""Read safetensors files, such as those of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from netspec.files.tensors import opened_tensors
from netspec.pretrained.grouping import layers_of
from netspec.pretrained.layers import Weights
from netspec.runtime.expects import IMAGE


def read(path: Path) -> Weights:
    """Return the layers of a safetensors file.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    with opened_tensors(path) as file:
        tensors = file.read()
    tensors.pop(IMAGE, None)  # the mean image of a file of netspec
    layers, skipped = layers_of(tensors)
    return Weights(path, "safetensors", layers, skipped=skipped)
