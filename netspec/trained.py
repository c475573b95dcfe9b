"""Weights that come with netspec, for bundled specs, trained by their own recipes.

Each is a safetensors file in ``specs/trained``.  A JSON file next to it has its origin and its
error rate on a validation set.  ``benchmarks/trained.py`` writes both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netspec.errors import DataError
from netspec.language.read import BUNDLED
from netspec.net import Net

FOLDER = Path(__file__).parent / "specs" / "trained"


@dataclass(frozen=True)
class Trained:
    """Trained weights.

    Attributes:
        weights: the safetensors file.
        about: the content of the JSON file.
    """

    weights: Path
    about: Mapping[str, Any]

    @property
    def net(self) -> str:
        """The name of the spec."""
        return str(self.about["net"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        return tuple(self.about["classes"])


def spec_of(net: Net) -> str:
    """Return the name of the bundled spec that a net was read from; empty if it is another one."""
    path = net.source.path
    return path.stem if path is not None and path.resolve().parent == BUNDLED.resolve() else ""


def names(net: str, folder: Path = FOLDER) -> list[str]:
    """Return the names of the weights that come with a net, which are names of training data."""
    paths = folder.glob(f"{net}-*.json")
    return sorted(path.stem.removeprefix(f"{net}-") for path in paths)


def trained(net: str, name: str, folder: Path = FOLDER) -> Trained:
    """Return the weights that come with a net.

    Args:
        net: name of the bundled spec.
        name: name of the data that they were trained on, such as ``digits``.
        folder: folder of the weights.

    Raises:
        DataError: if the weights do not match their JSON file.
    """
    about = json.loads((folder / f"{net}-{name}.json").read_bytes())
    path = folder / about["weights"]["file"]
    if not path.is_file() or digest(path) != about["weights"]["sha256"]:
        raise DataError(f"the weights {path} are damaged: install netspec again")
    return Trained(path, about)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
