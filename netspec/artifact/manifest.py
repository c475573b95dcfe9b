"""The manifest: what an artifact is, and the digest of everything else in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeVar

import netspec
from netspec.artifact.messages import AGAIN
from netspec.errors import DataError

if TYPE_CHECKING:
    import torch

FORMAT = 1

MANIFEST, ROOT = "manifest.json", "manifest.sha256"
SPEC, PLAN, WEIGHTS = "spec.net", "plan.json", "weights.safetensors"

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""Types as PyTorch and as safetensors call them."""

_WORDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
_FILE = re.compile(r"files/(0|[1-9][0-9]{0,4})\.net")

T = TypeVar("T")


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
        given = _parsed(data)
        number = _field(given, "format", int)
        if number > FORMAT:
            maker = _field(_field(given, "made_by", dict), "netspec", str)
            raise DataError(
                f"it has format {number} of netspec {_version(maker)}, and netspec "
                f"{netspec.__version__} reads format {FORMAT}: install that version, or {AGAIN}"
            )
        if number != FORMAT:
            raise DataError(f"it has format {number}, which is not read any more: {AGAIN}")
        made = cls(
            name=_field(given, "name", str),
            made_by=_made_by(given),
            settings=_settings(given),
            asked=tuple(
                Asked(*(_field(one, key, str) for key in ("by", "wrote", "member")))
                for one in _field(given, "asked", list)
            ),
            target=_field(given, "target", str),
            dtype=_field(given, "dtype", str),
            batch=_field(given, "batch", int),
            trained=_field(given, "trained", bool),
            kernels=tuple(
                _is(one, "an entry of `kernels`", str) for one in _field(given, "kernels", list)
            ),
            members={
                name: Member(_field(one, "sha256", str), _field(one, "size", int))
                for name, one in _field(given, "members", dict).items()
            },
        )
        made._check()
        if made.as_bytes() != data:
            raise _malformed("it is not written as netspec writes it")
        return made

    def _check(self) -> None:
        """Raise DataError for values that no manifest has."""
        if self.dtype not in DTYPES:
            raise _malformed(f"`dtype` is not one of {', '.join(DTYPES)}")
        if not re.fullmatch(r"[a-z0-9_]{1,32}", self.target):
            raise _malformed("`target` is not the name of a backend")
        if not 1 <= self.batch <= 100_000:
            raise _malformed("`batch` is not a number of images from 1 to 100,000")
        if list(self.kernels) != sorted(set(self.kernels)):
            raise _malformed("`kernels` are not sorted, or twice there")
        files = {one.member for one in self.asked}
        if not all(map(_FILE.fullmatch, files)) or any(
            one.by not in {SPEC, *files} for one in self.asked
        ):
            raise _malformed("`asked` names what is no file of the net")
        compiled = map(kernel_member, range(len(self.kernels)))
        if {*self.members} != {SPEC, PLAN, WEIGHTS, *files, *compiled}:
            raise _malformed("`members` are not those of an artifact with these files and kernels")
        for name, member in self.members.items():
            if not re.fullmatch(r"[0-9a-f]{64}", member.sha256):
                raise _malformed(f"the digest of {name} cannot be one")


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


def parsed(data: bytes, name: str) -> Any:
    """JSON from outside.

    Raises:
        DataError: it is none, or nested too deeply.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise DataError(f"{name} is not JSON that netspec wrote: {AGAIN}") from None


def versions() -> dict[str, str | None]:
    """Versions of what an artifact depends on."""
    import torch

    found: dict[str, str | None] = {"netspec": netspec.__version__, "torch": str(torch.__version__)}
    try:
        return found | {"triton": version("triton")}
    except PackageNotFoundError:
        return found | {"triton": None}


def claimed_members(data: bytes) -> set[str] | None:
    """The members that a manifest of any format tells; None if it is no manifest."""
    given = parsed(data, MANIFEST)
    if not isinstance(given, dict) or type(given.get("format")) is not int:
        return None
    members = given.get("members")
    return {*members} if isinstance(members, dict) else None


def _malformed(what: str) -> DataError:
    return DataError(f"{MANIFEST}: {what}; {AGAIN}")


def _parsed(data: bytes) -> dict[str, Any]:
    return _is(parsed(data, MANIFEST), "it", dict)


def _field(given: Any, key: str, kind: type[T]) -> T:
    if not isinstance(given, dict) or key not in given:
        raise _malformed(f"`{key}` is missing")
    return _is(given[key], f"`{key}`", kind)


def _is(value: Any, what: str, kind: type[T]) -> T:
    if type(value) is not kind:  # a bool is no number here
        raise _malformed(f"{what} is not {_WORDS[kind]}")
    return value


def _made_by(given: dict[str, Any]) -> dict[str, str | None]:
    found = _field(given, "made_by", dict)
    if {*found} != {"netspec", "torch", "triton"}:
        raise _malformed("`made_by` does not give the versions of netspec, torch and triton")
    return {package: None if was is None else _version(was) for package, was in found.items()}


def _version(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9A-Za-z.+!_-]{1,64}", text):
        raise _malformed("a version in `made_by` cannot be one")
    return text


def _settings(given: dict[str, Any]) -> dict[str, str | int | float | bool]:
    found = _field(given, "settings", dict)
    if not all(isinstance(value, str | int | float | bool) for value in found.values()):
        raise _malformed("`settings` are not texts and numbers")
    return found
