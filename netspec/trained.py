"""Weights that come with netspec: of bundled specs, trained by their own recipes.

Each is a safetensors file in ``specs/trained`` with a JSON file beside it, which says how it was
made and how often it is wrong on held-out images; ``benchmarks/trained.py`` writes both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netspec.errors import DataError

FOLDER = Path(__file__).parent / "specs" / "trained"


@dataclass(frozen=True)
class Trained:
    """Trained weights.

    Attributes:
        weights: the safetensors file.
        about: what the JSON file says.
    """

    weights: Path
    about: Mapping[str, Any]

    @property
    def net(self) -> str:
        """The name of the spec."""
        return str(self.about["net"])

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by number."""
        return tuple(self.about["classes"])


def names(net: str, folder: Path = FOLDER) -> list[str]:
    """What the weights that come with a net are called: by the data that they learned."""
    paths = folder.glob(f"{net}-*.json")
    return sorted(path.stem.removeprefix(f"{net}-") for path in paths)


def trained(net: str, name: str, folder: Path = FOLDER) -> Trained:
    """The weights of a net by the name of what they learned.

    Raises:
        DataError: the file is not the one that the JSON file is about.
    """
    about = json.loads((folder / f"{net}-{name}.json").read_bytes())
    path = folder / about["weights"]["file"]
    if not path.is_file() or digest(path) != about["weights"]["sha256"]:
        raise DataError(f"the weights {path} are damaged: install netspec again")
    return Trained(path, about)


def digest(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
