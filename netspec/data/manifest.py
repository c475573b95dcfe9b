"""``pack.json``: the shards that `netspec pack` wrote into a folder, and their source."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from netspec.files.members import (
    SHA256,
    TRUTH,
    many,
    matching,
    one_of,
    read,
    record,
    table,
    text,
    whole,
)
from netspec.files.writing import write_whole

NAME = "pack.json"
FORMAT = "netspec pack 1"


@dataclass(frozen=True)
class Shard:
    """A finished shard."""

    images: int
    bytes: int
    sha256: str
    faults: tuple[str, ...]
    """One message for each image that was omitted."""


@dataclass
class Manifest:
    """The source of a pack, and the shards that are finished."""

    source: str
    """Name of the data set as given by the user, for messages."""
    digests: tuple[str, ...]
    """Digests of the two splits of the source."""
    size: int
    images_per_shard: int
    classes: tuple[str, ...]
    is_finished: bool = False
    shards: dict[str, Shard] = field(default_factory=dict)

    def is_of(self, other: Manifest) -> bool:
        """Return True if both pack the same images in the same way."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("digests", "size", "images_per_shard", "classes")
        )

    def save(self, folder: Path) -> None:
        """Write the manifest, whole or not at all."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"
        write_whole(folder / NAME, text.encode("ascii"))


def load_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder; None if it does not have one.

    Raises:
        DataError: if its ``pack.json`` is damaged or has another version.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    return read(path, PACK, f"remove {folder} and pack again")


def _manifest(format: str, **members: Any) -> Manifest:
    return Manifest(**members)


PACK = record(
    _manifest,
    format=one_of(FORMAT),
    source=text(),
    digests=many(SHA256, 2),
    size=whole(1),
    images_per_shard=whole(1),
    classes=many(text()),
    is_finished=TRUTH,
    shards=table(
        record(Shard, images=whole(0), bytes=whole(0), sha256=SHA256, faults=many(text())),
        key=matching(r"(train|val)-[0-9]{6,12}\.tar", "the name of a shard"),
    ),
)
