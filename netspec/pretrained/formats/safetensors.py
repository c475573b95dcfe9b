"""Read safetensors files, such as those of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from netspec.files.tensors import opened_tensors
from netspec.pretrained.formats.common import followed, natural, reading
from netspec.pretrained.grouping import layers_of
from netspec.pretrained.layers import Weights
from netspec.runtime.description import KEY
from netspec.runtime.expects import IMAGE


def read(path: Path) -> Weights:
    """Return the layers of a safetensors file, sorted by the words and numbers of their names.

    The library stores tensors in alphabetical order, ``features.10`` before ``features.2``: the
    order in which they were defined is lost.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    with reading(path):
        with opened_tensors(followed(path)) as file:
            tensors = file.read()
            facts = {"producer": "netspec"} if KEY in file.notes else {}
        tensors.pop(IMAGE, None)  # the mean image of a file of netspec
        layers, skipped = layers_of({name: tensors[name] for name in sorted(tensors, key=natural)})
    return Weights(path, "safetensors", layers, skipped=skipped, facts=facts)
