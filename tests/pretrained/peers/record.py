"""Record the names and shapes of the layers of torchvision's, timm's and Keras's models.

``PYTHONPATH=build/peers python -m tests.pretrained.peers.record`` writes them again.  With these
files, tests/pretrained/test_names.py checks the tables of families without the packages.  The first
line of a file has the spec and the format.  Each other line has the name of a layer and the shapes
of its tensors, in the layout of PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from netspec.pretrained.formats import read
from netspec.pretrained.grouping import layers_of
from netspec.pretrained.layers import Layer
from tests.pretrained.peers.conftest import LIBRARY
from tests.pretrained.peers.models import (
    KERAS,
    TIMM,
    TORCHVISION,
    of_keras,
    of_timm,
    of_torchvision,
)
from tests.pretrained.test_names import FOLDER, as_text


def recorded() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file."""
    for name, spec in TORCHVISION.items():
        layers, _ = layers_of(of_torchvision(name).state_dict())
        yield f"torchvision_{name}", as_text(spec, "pytorch", layers)
    for name, spec in TIMM.items():
        layers, _ = layers_of(of_timm(name).state_dict())
        yield f"timm_{name}", as_text(spec, "safetensors", layers)
    for name, spec in KERAS.items():
        yield f"keras_{name}", as_text(spec, "keras", _of_keras(name))


def _of_keras(name: str) -> tuple[Layer, ...]:
    import keras

    keras.backend.clear_session()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        of_keras(name).save(path)
        return read(path).layers


def main() -> None:
    for name, text in recorded():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    assert LIBRARY  # torchvision can be imported after it was made
    main()
