"""The manifest: the description of an artifact, with the digests of all other members."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import netspec
from netspec.artifact.messages import AGAIN
from netspec.errors import DataError
from netspec.files.members import (
    ANYTHING,
    SCALAR,
    SHA256,
    TRUTH,
    Kind,
    many,
    matching,
    member,
    one_of,
    optional,
    parsed,
    record,
    table,
    text,
    whole,
)
from netspec.ir.arguments import DTYPES

FORMAT = 2
OLDEST = 1
"""The newest and the oldest format that can be read.  Format 1 does not have ``expects.json`` and
always has heads."""

MANIFEST, ROOT = "manifest.json", "manifest.sha256"
SPEC, PLAN, WEIGHTS = "spec.net", "plan.json", "weights.safetensors"
EXPECTS, IMAGE = "expects.json", "image.f32"
"""The members with the preprocessing and class names, and with the image of means if there is one:
float32 values [H, W, C], little-endian."""

FILE_MEMBER = r"files/(0|[1-9][0-9]{0,4})\.net"
"""A regular expression for :func:`file_member`."""


def file_member(number: int) -> str:
    """Return the name of the member with the text of a file that the spec imports."""
    return f"files/{number}.net"


def kernel_member(number: int) -> str:
    """Return the name of the member with a compiled kernel."""
    return f"kernels/{number}.bin"


@dataclass(frozen=True)
class Member:
    """A file of an artifact: its SHA-256 in hexadecimal digits, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Asked:
    """A use of another file: the member ``by`` names the file or net ``wrote``: ``member``."""

    by: str
    wrote: str
    member: str


@dataclass(frozen=True)
class Manifest:
    """The description of an artifact.

    Attributes:
        name: the net's name.
        made_by: versions of ``netspec``, ``torch`` and ``triton``; None for a missing package.
        settings: the parameters of the net that were set when it was compiled.
        asked: the other files of the net: those that are imported, and the nets of variants.
        target: the name of the backend for which it was compiled.
        dtype: of parameters, images and outputs, by PyTorch's name.
        batch: the batch size for which implementations were chosen.
        trained: True if its weights were loaded or trained, False if they are random.
        kernels: the names of compiled kernels, sorted; their members are numbered in this order.
        members: every file except the manifest and its digest.
        heads: True if the parameters of auxiliary heads, which only training needs, are in it.
        format: the number of the format.
    """

    name: str
    made_by: Mapping[str, str | None]
    settings: Mapping[str, str | int | float | bool]
    asked: tuple[Asked, ...]
    target: str
    dtype: str
    batch: int
    trained: bool
    kernels: tuple[str, ...]
    members: Mapping[str, Member]
    heads: bool = True
    format: int = FORMAT

    def as_bytes(self) -> bytes:
        """Return the canonical JSON of the manifest, of which the root digest is computed."""
        described = asdict(self)
        if self.format == OLDEST:
            del described["heads"]
        return canonical(described)

    @property
    def root(self) -> str:
        """Return the root digest: the SHA-256 of the manifest, which has those of all members."""
        return root_of(self.as_bytes())

    @property
    def texts(self) -> list[str]:
        """Return the names of the members that are text of the net."""
        return [SPEC, *sorted({request.member for request in self.asked})]

    @property
    def notes(self) -> list[str]:
        """Return a sentence for each package whose installed version is another."""
        here = versions()
        return [
            f"it was made {f'with {package} {was}' if was else f'without {package}'}, and "
            f"{f'version {here[package]}' if here[package] else 'no version'} is installed"
            for package, was in self.made_by.items()
            if was != here[package]
        ]

    @classmethod
    def read(cls, data: bytes) -> Manifest:
        """Return the manifest in the bytes of a file.

        Raises:
            DataError: they are not a manifest of a format that can be read.
        """
        number = parsed(data, MANIFEST, member("format", whole()), AGAIN)
        if number > FORMAT:
            made_by = member("made_by", member("netspec", VERSION))
            maker = parsed(data, MANIFEST, made_by, AGAIN)
            raise DataError(
                f"it has format {number} of netspec {maker}, and netspec {netspec.__version__} "
                f"reads formats up to {FORMAT}: install netspec {maker}, or {AGAIN}"
            )
        if number not in KINDS:
            raise DataError(f"it has format {number}, which netspec does not support: {AGAIN}")
        manifest = parsed(data, MANIFEST, KINDS[number], AGAIN)
        manifest._check()
        if manifest.as_bytes() != data:
            raise _malformed("it is not the JSON that netspec writes for its values")
        return manifest

    def _check(self) -> None:
        """Raise DataError for values that a manifest cannot have."""
        if list(self.kernels) != sorted(set(self.kernels)):
            raise _malformed("`kernels` are not sorted, or a name occurs twice")
        files = {request.member for request in self.asked}
        if not all(re.fullmatch(FILE_MEMBER, name) for name in files) or any(
            request.by not in {SPEC, *files} for request in self.asked
        ):
            raise _malformed("`asked` names a member that is not a file of the net")
        compiled = map(kernel_member, range(len(self.kernels)))
        needed = {SPEC, PLAN, WEIGHTS, *files, *compiled}
        if self.format > OLDEST:
            needed.add(EXPECTS)
        if {*self.members} - {IMAGE} != needed or (self.format == OLDEST and IMAGE in self.members):
            raise _malformed("`members` does not have exactly its files, kernels and other members")


def root_of(data: bytes | bytearray) -> str:
    """Return the root digest of an artifact with this manifest."""
    return sha256(data).hexdigest()


def root_line(root: str) -> bytes:
    """Return the content of :data:`ROOT`: what ``sha256sum manifest.json`` prints."""
    return f"{root}  {MANIFEST}\n".encode()


def canonical(data: Any) -> bytes:
    """Return canonical JSON, so that equal data has equal digests: ASCII, keys sorted, one value
    per line."""
    return json.dumps(data, indent=1, sort_keys=True).encode() + b"\n"


def versions() -> dict[str, str | None]:
    """Return the versions of the packages that an artifact depends on."""
    import torch

    installed: dict[str, str | None] = {
        "netspec": netspec.__version__,
        "torch": str(torch.__version__),
    }
    try:
        return installed | {"triton": version("triton")}
    except PackageNotFoundError:
        return installed | {"triton": None}


def claimed_members(data: bytes) -> set[str]:
    """Return the names of the members that a manifest of any format lists.

    Raises:
        DataError: the bytes are not a manifest.
    """
    parsed(data, MANIFEST, member("format", whole()), AGAIN)
    return {*parsed(data, MANIFEST, member("members", table(ANYTHING)), AGAIN)}


def _malformed(problem: str) -> DataError:
    return DataError(f"{MANIFEST}: {problem}; {AGAIN}")


VERSION = matching("[0-9A-Za-z.+!_-]{1,64}", "a version")

_MEMBERS: dict[str, Kind[Any]] = {
    "name": text(),
    "made_by": record(
        dict, netspec=optional(VERSION), torch=optional(VERSION), triton=optional(VERSION)
    ),
    "settings": table(SCALAR),
    "asked": many(record(Asked, by=text(), wrote=text(), member=text())),
    "target": matching("[a-z0-9_]{1,32}", "the name of a backend"),
    "dtype": one_of(*DTYPES),
    "batch": whole(1, 100_000),
    "trained": TRUTH,
    "kernels": many(text()),
    "members": table(record(Member, sha256=SHA256, size=whole(0))),
}

KINDS = {
    OLDEST: record(Manifest, format=whole(OLDEST, OLDEST), **_MEMBERS),
    FORMAT: record(Manifest, format=whole(FORMAT, FORMAT), heads=TRUTH, **_MEMBERS),
}
"""The schema of a manifest by the number of its format."""
