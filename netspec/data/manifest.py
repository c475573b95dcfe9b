"""``pack.json``: what `netspec pack` has written into a folder of shards, and from what."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from netspec.data.files import read_bytes
from netspec.errors import DataError
from netspec.writing import write_whole

NAME = "pack.json"
FORMAT = "netspec pack 1"


@dataclass(frozen=True)
class Shard:
    """A shard that is written."""

    images: int
    bytes: int
    sha256: str
    faults: tuple[str, ...]
    """Why pictures were left out, one message each."""


@dataclass
class Manifest:
    """What is packed, and the shards of it that are written so far."""

    source: str
    """The data set as it was given, for messages."""
    digests: tuple[str, str]
    """Of the source's two splits."""
    size: int
    images_per_shard: int
    classes: tuple[str, ...]
    is_finished: bool = False
    shards: dict[str, Shard] = field(default_factory=dict)

    def is_of(self, other: Manifest) -> bool:
        """Whether both pack the same pictures in the same way."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("digests", "size", "images_per_shard", "classes")
        )

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"
        write_whole(folder / NAME, text.encode("ascii"))


def load_manifest(folder: Path) -> Manifest | None:
    """What is packed in a folder; None if nothing is.

    Raises:
        DataError: its ``pack.json`` is corrupt, or not of this version.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        data = json.loads(read_bytes(path))
        if data.pop("format") != FORMAT:
            raise ValueError
        return _manifest(**data)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(
            f"{path} is corrupt, or another version wrote it: remove {folder} and pack again"
        ) from None


def _manifest(
    digests: list[str], classes: list[str], shards: dict[str, dict[str, Any]], **rest: Any
) -> Manifest:
    first, second = digests
    return Manifest(
        digests=(first, second),
        classes=tuple(classes),
        shards={
            name: Shard(**{**shard, "faults": tuple(shard["faults"])})
            for name, shard in shards.items()
        },
        **rest,
    )
