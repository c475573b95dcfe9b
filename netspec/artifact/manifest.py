"""The manifest: what an artifact is, and the digest of everything else in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import netspec
from netspec.artifact.messages import AGAIN
from netspec.errors import DataError
from netspec.files.members import (
    ANYTHING,
    SCALAR,
    SHA256,
    TRUTH,
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

if TYPE_CHECKING:
    import torch

FORMAT = 1

MANIFEST, ROOT = "manifest.json", "manifest.sha256"
SPEC, PLAN, WEIGHTS = "spec.net", "plan.json", "weights.safetensors"

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""Types that a net can be compiled for, as PyTorch calls them."""

FILE_MEMBER = r"files/(0|[1-9][0-9]{0,4})\.net"
"""What the name of a member with the text of another file of the net matches."""


def file_member(number: int) -> str:
    """The member with the text of another file of the net."""
    return f"files/{number}.net"


def kernel_member(number: int) -> str:
    """The member with a compiled kernel."""
    return f"kernels/{number}.bin"


@dataclass(frozen=True)
class Member:
    """A file of an artifact: its SHA-256 in hexadecimal digits, and its bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Asked:
    """Which member is meant where the member ``by`` asks for the file or net ``wrote``."""

    by: str
    wrote: str
    member: str


@dataclass(frozen=True)
class Manifest:
    """What an artifact is.

    Attributes:
        name: the net's, as in its header.
        made_by: versions of ``netspec``, ``torch`` and ``triton``; None for what was not there.
        settings: the parameters of the net that were set from outside.
        asked: the other files of the net.
        target: the backend that it was compiled for.
        dtype: of parameters, images and outputs, as PyTorch calls it.
        batch: the number of images that implementations were chosen for.
        trained: whether its weights were loaded or trained, not drawn at random.
        kernels: the names of compiled kernels, sorted; their members are numbered alike.
        members: every file but the manifest and its digest.
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

    def as_bytes(self) -> bytes:
        """The one way to write it, which the root digest is of."""
        return canonical({"format": FORMAT, **asdict(self)})

    @property
    def root(self) -> str:
        """The root digest: SHA-256 of the manifest, and so of everything."""
        return root_of(self.as_bytes())

    @property
    def texts(self) -> list[str]:
        """The members that are text of the net."""
        return [SPEC, *sorted({one.member for one in self.asked})]

    @property
    def notes(self) -> list[str]:
        """Which versions differ from those that are installed, a sentence each."""
        here = versions()
        return [
            f"it was made {f'with {package} {was}' if was else f'without {package}'}, and "
            f"{here[package] or 'none'} is here"
            for package, was in self.made_by.items()
            if was != here[package]
        ]

    @classmethod
    def read(cls, data: bytes) -> Manifest:
        """A manifest from outside.

        Raises:
            DataError: it is no manifest of this format.
        """
        number = parsed(data, MANIFEST, member("format", whole()), AGAIN)
        if number > FORMAT:
            made_by = member("made_by", member("netspec", VERSION))
            maker = parsed(data, MANIFEST, made_by, AGAIN)
            raise DataError(
                f"it has format {number} of netspec {maker}, and netspec "
                f"{netspec.__version__} reads format {FORMAT}: install that version, or {AGAIN}"
            )
        if number != FORMAT:
            raise DataError(f"it has format {number}, which is not read any more: {AGAIN}")
        made = parsed(data, MANIFEST, KIND, AGAIN)
        made._check()
        if made.as_bytes() != data:
            raise _malformed("it is not written as netspec writes it")
        return made

    def _check(self) -> None:
        """Raise DataError for values that no manifest has."""
        if list(self.kernels) != sorted(set(self.kernels)):
            raise _malformed("`kernels` are not sorted, or twice there")
        files = {one.member for one in self.asked}
        if not all(re.fullmatch(FILE_MEMBER, name) for name in files) or any(
            one.by not in {SPEC, *files} for one in self.asked
        ):
            raise _malformed("`asked` names what is no file of the net")
        compiled = map(kernel_member, range(len(self.kernels)))
        if {*self.members} != {SPEC, PLAN, WEIGHTS, *files, *compiled}:
            raise _malformed("`members` are not those of an artifact with these files and kernels")


def dtype_name(dtype: torch.dtype) -> str:
    """A type as PyTorch calls it: ``float32``."""
    return str(dtype).removeprefix("torch.")


def root_of(data: bytes | bytearray) -> str:
    """The root digest of an artifact with this manifest."""
    return sha256(data).hexdigest()


def root_line(root: str) -> bytes:
    """What :data:`ROOT` holds: the line of ``sha256sum manifest.json``."""
    return f"{root}  {MANIFEST}\n".encode()


def canonical(data: Any) -> bytes:
    """JSON in ASCII, keys sorted, each value in a line of its own."""
    return json.dumps(data, indent=1, sort_keys=True).encode() + b"\n"


def versions() -> dict[str, str | None]:
    """Versions of what an artifact depends on."""
    import torch

    found: dict[str, str | None] = {"netspec": netspec.__version__, "torch": str(torch.__version__)}
    try:
        return found | {"triton": version("triton")}
    except PackageNotFoundError:
        return found | {"triton": None}


def claimed_members(data: bytes) -> set[str]:
    """The members that a manifest of any format tells.

    Raises:
        DataError: it is no manifest.
    """
    parsed(data, MANIFEST, member("format", whole()), AGAIN)
    return {*parsed(data, MANIFEST, member("members", table(ANYTHING)), AGAIN)}


def _malformed(what: str) -> DataError:
    return DataError(f"{MANIFEST}: {what}; {AGAIN}")


def _manifest(format: int, **members: Any) -> Manifest:
    return Manifest(**members)


VERSION = matching("[0-9A-Za-z.+!_-]{1,64}", "a version")

KIND = record(
    _manifest,
    format=whole(FORMAT, FORMAT),
    name=text(),
    made_by=record(
        dict, netspec=optional(VERSION), torch=optional(VERSION), triton=optional(VERSION)
    ),
    settings=table(SCALAR),
    asked=many(record(Asked, by=text(), wrote=text(), member=text())),
    target=matching("[a-z0-9_]{1,32}", "the name of a backend"),
    dtype=one_of(*DTYPES),
    batch=whole(1, 100_000),
    trained=TRUTH,
    kernels=many(text()),
    members=table(record(Member, sha256=SHA256, size=whole(0))),
)
