"""The artifact: a compiled net in a folder or a single file, checked when it is loaded.

Nothing in it is run by Python or unpickled.  What stands in it, and what it guarantees, is in
docs/artifact.md.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import netspec
from netspec.artifact import weights
from netspec.artifact.lowering import lowered_as, plan_bytes
from netspec.artifact.manifest import (
    AGAIN,
    MANIFEST,
    PLAN,
    ROOT,
    WEIGHTS,
    Manifest,
    kernel_member,
    root_line,
    root_of,
    versions,
)
from netspec.artifact.reading import SUFFIX, Places, content, opened, places
from netspec.artifact.spec import kept_settings, members_of, net_of
from netspec.artifact.writing import written
from netspec.backends.compiled import Compiled
from netspec.errors import DataError
from netspec.language.diagnostics import SpecError

__all__ = [
    "Manifest",
    "is_artifact",
    "load_artifact",
    "load_kernels",
    "load_manifest",
    "save_artifact",
]


def save_artifact(
    model: Compiled, path: str | Path, *, kernels: Mapping[str, bytes] | None = None
) -> str:
    """Write a compiled net with its weights, whole or not at all.

    Args:
        model: what :func:`netspec.compile` made.
        path: a folder, or a single file if it ends in ``.netspec``.  An artifact that is there
            already is replaced; a folder with anything else in it is not.
        kernels: compiled kernels by name.

    Returns:
        The root digest, 64 hexadecimal digits, which :func:`load_artifact` takes as ``expect``.

    Raises:
        DataError: it cannot be written.
    """
    made, compiled = model.lowered, sorted((kernels or {}).items())
    with _naming("write", path), written(Path(path)) as put:
        texts, asked = members_of(model.net)
        plan = plan_bytes(made)
        members = {name: put(name, [text]) for name, text in texts.items()}
        members[PLAN] = put(PLAN, [plan])
        members[WEIGHTS] = put(WEIGHTS, weights.pieces(model))
        for number, (_, code) in enumerate(compiled):
            members[kernel_member(number)] = put(kernel_member(number), [code])
        manifest = Manifest(
            name=model.net.name,
            made_by=versions(),
            settings=kept_settings(model.net.settings),
            asked=asked,
            target=made.backend.name,
            dtype=str(made.dtype).removeprefix("torch."),
            batch=made.batch,
            kernels=tuple(name for name, _ in compiled),
            members=members,
        )
        # what could not be loaded again is not written
        lowered_as(plan, net_of(manifest, texts), Manifest.read(manifest.as_bytes()))
        put(MANIFEST, [manifest.as_bytes()])
        put(ROOT, [root_line(manifest.root)])
    return manifest.root


def load_artifact(path: str | Path, *, expect: str | None = None) -> Compiled:
    """Load a compiled net with its weights.

    Sizes and digests of all members are checked.  The spec is read, checked and lowered again,
    and has to give the plan that is stored.

    Args:
        path: the folder or the file.
        expect: the root digest, 64 hexadecimal digits.  The digests inside an artifact detect
            damage; only a root digest that came another way detects what somebody put in on
            purpose.  Without it, compiled kernels in the artifact are not used: kernels are built
            from the sources that are installed.

    Returns:
        The net in evaluation mode.

    Raises:
        DataError: it is no artifact, not the expected one, damaged, or made by a version that
            plans differently; or this machine has not what it was compiled for.
        MemoryError: the machine cannot hold the parameters.
    """
    with _naming("load", path):
        held = places(Path(path))
        manifest = _manifest(held, expect)
        texts = {name: _checked(held, manifest, name) for name in manifest.texts}
        plan = _checked(held, manifest, PLAN)
        for number in range(len(manifest.kernels)):
            _checked(held, manifest, kernel_member(number))
        net = net_of(manifest, texts)
        made = lowered_as(plan, net, manifest)
        if manifest.members[WEIGHTS].size != weights.size(net, made.dtype):
            raise DataError(f"{WEIGHTS} has not the size of {net.name}'s tensors: {AGAIN}")
        with opened(held[WEIGHTS]) as file:
            tensors, digest = weights.read(file, net, made.dtype)
        _check_digest(manifest, WEIGHTS, digest)
        if tensors is None:
            raise DataError(f"{WEIGHTS} does not hold the tensors of {net.name}: {AGAIN}")
        for name, tensor in tensors.items():
            tensors[name] = tensor.to(made.backend.device)
        return Compiled(net, made, tensors)


def load_kernels(path: str | Path, *, expect: str) -> dict[str, bytes]:
    """The compiled kernels of an artifact, by name.

    They are code for a GPU, so they are handed out only of an artifact whose root digest is known.

    Raises:
        DataError: it is no artifact, not the expected one, or damaged.
    """
    with _naming("load", path):
        held = places(Path(path))
        manifest = _manifest(held, expect)
        return {
            name: bytes(_checked(held, manifest, kernel_member(number)))
            for number, name in enumerate(manifest.kernels)
        }


def load_manifest(path: str | Path, *, expect: str | None = None) -> Manifest:
    """What an artifact says of itself; its other members are not read.

    Raises:
        DataError: it is no artifact, or not the expected one.
    """
    with _naming("load", path):
        return _manifest(places(Path(path)), expect)


def is_artifact(path: str | Path) -> bool:
    """Whether a path is to be read as an artifact, and not as a spec."""
    return Path(path).suffix == SUFFIX or os.path.isfile(Path(path) / MANIFEST)


def _manifest(held: Places, expect: str | None) -> Manifest:
    """The manifest, once it is the expected one and tells all the members that are there."""
    data = content(held, MANIFEST)
    root = root_of(data)
    if expect is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", expect):
            raise DataError(
                "what is expected is no root digest, which has 64 hexadecimal digits; fewer could "
                "be met by another artifact that somebody searched for"
            )
        if not hmac.compare_digest(root, expect.lower()):
            raise DataError(
                f"its root digest is {root}, not the expected one: it is another artifact, or was "
                "changed"
            )
    if ROOT not in held or content(held, ROOT) != root_line(root):
        raise DataError(f"{MANIFEST} is damaged, its digest is not in {ROOT}: {AGAIN}")
    manifest = Manifest.read(bytes(data))
    wanted = {MANIFEST, ROOT, *manifest.members}
    for name in sorted(wanted ^ {*held}):
        what = "is missing" if name in wanted else "is in it, and not in its manifest"
        raise DataError(f"{name!r} {what}: {AGAIN}")
    for name, member in manifest.members.items():
        if held[name].size != member.size:
            raise DataError(
                f"{name} is damaged: it has {held[name].size:,} bytes, and had {member.size:,}: "
                f"{AGAIN}"
            )
    return manifest


def _checked(held: Places, manifest: Manifest, name: str) -> bytes:
    """A member whose digest is right."""
    data = content(held, name)
    _check_digest(manifest, name, sha256(data).hexdigest())
    return bytes(data)


def _check_digest(manifest: Manifest, name: str, digest: str) -> None:
    if manifest.members[name].sha256 != digest:
        raise DataError(f"{name} is damaged, its digest is another: {AGAIN}")


@contextmanager
def _naming(verb: str, path: str | Path) -> Iterator[None]:
    """Say in every message which artifact it is about."""
    try:
        yield
    except SpecError as error:
        raise DataError(
            f"cannot {verb} {path}: its spec, read again with its settings, is refused by netspec "
            f"{netspec.__version__}: {AGAIN}\n{error}"
        ) from None
    except DataError as error:
        raise DataError(f"cannot {verb} {path}: {error}") from None
    except EOFError:
        raise DataError(f"cannot {verb} {path}: it became shorter while it was read") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot {verb} {path}: {reason}") from None
