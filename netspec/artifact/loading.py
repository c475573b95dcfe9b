"""Load an artifact, or only its manifest or its kernels."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from netspec.artifact.manifest import (
    EXPECTS,
    IMAGE,
    MANIFEST,
    PLAN,
    ROOT,
    WEIGHTS,
    Manifest,
    kernel_member,
    root_line,
    root_of,
)
from netspec.artifact.messages import AGAIN, naming
from netspec.artifact.reading import FileRanges, content, file_ranges, opened
from netspec.artifact.spec import net_of
from netspec.collecting import without_collecting
from netspec.errors import DataError, require_type
from netspec.files.members import parsed
from netspec.ir.arguments import place

if TYPE_CHECKING:
    from netspec.ir.expects import Expects
    from netspec.net import Net
    from netspec.runtime.compiled import Compiled


Load = TypeVar("Load", bound=Callable[..., Any])

ATTEMPTS = 5
"""The number of times that an artifact is read if other processes replace it meanwhile."""


def _again_if_replaced(load: Load) -> Load:
    """Return a function that reads an artifact again if another one replaced it during loading.

    A mixture of the members of two artifacts fails the check of their digests.  An error that
    occurs while the path is unchanged is the artifact's own.
    """

    @wraps(load)
    def steady(path: str | Path, **options: Any) -> Any:
        for _ in range(ATTEMPTS - 1):
            before = _identity(path)
            try:
                return load(path, **options)
            except DataError:
                if _identity(path) == before:
                    raise
        return load(path, **options)

    return cast(Load, steady)


def _identity(path: str | Path) -> tuple[int, ...]:
    """Return numbers that change when a folder or file is replaced by another."""
    try:
        status = os.stat(path)
    except (OSError, TypeError):  # loading says what is wrong
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns


@_again_if_replaced
def load_artifact(path: str | Path, *, expect: str | None = None) -> Compiled:
    """Load a compiled net with its weights.

    The sizes and digests of all members are checked.  The spec is read, checked and lowered again,
    and the resulting plan must be equal to the stored one.

    Args:
        path: the folder or the file.
        expect: the root digest, 64 hexadecimal digits, as :func:`save_artifact` returned it.  The
            digests inside an artifact detect damage.  Only a root digest from a trusted source
            detects changes made on purpose.  Compiled kernels in the artifact are used only with
            it, and only with the versions and the GPU for which they were compiled; otherwise
            kernels are compiled from the installed sources.

    Returns:
        The net in evaluation mode.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: it is not an artifact, not the expected one, damaged, or made by a version that
            plans differently; a weight is NaN or infinite; or this machine is not the one that it
            was compiled for.
        MemoryError: the machine cannot hold the parameters.
    """
    place("path", path, "the path of an artifact")
    if expect is not None:
        require_type("expect", expect, str, "the root digest of an artifact")
    with naming("load", path), without_collecting():
        from netspec.artifact import weights
        from netspec.artifact.lowering import backend_for, lowered_as
        from netspec.runtime.compiled import Compiled
        from netspec.runtime.weights import require_finite

        members = file_ranges(Path(path))
        manifest = _manifest(members, expect)
        texts = {name: _checked(members, manifest, name) for name in manifest.texts}
        plan = _checked(members, manifest, PLAN)
        kernels = _kernels(members, manifest)
        net = net_of(manifest, texts)
        lowered = lowered_as(plan, net, manifest, backend_for(manifest))
        size = manifest.members[WEIGHTS].size
        if size not in weights.sizes(net, lowered.dtype):
            raise DataError(f"{WEIGHTS} does not have the size of {net.name}'s tensors: {AGAIN}")
        with opened(members[WEIGHTS]) as file:
            tensors, not_finite, digest = weights.read(file, net, lowered.dtype, size)
        _check_digest(manifest, WEIGHTS, digest)
        if tensors is None:
            raise DataError(f"{WEIGHTS} does not contain the tensors of {net.name}: {AGAIN}")
        require_finite(not_finite, WEIGHTS)
        for name, tensor in tensors.items():
            tensors[name] = tensor.to(lowered.backend.device)
        if expect is not None:
            lowered.backend.use(kernels)
        model = Compiled(net, lowered, tensors)
        model.expects = _expects(members, manifest, net)
        model.is_trained = manifest.trained
        return model


@_again_if_replaced
def load_kernels(path: str | Path, *, expect: str) -> dict[str, bytes]:
    """Return the compiled kernels of an artifact, by name.

    Kernels are code that a GPU runs, so the root digest is required.

    Args:
        path: the folder or the file.
        expect: the root digest, 64 hexadecimal digits.

    Raises:
        DataError: ``path`` is not an artifact, is not the expected one, or is damaged.
    """
    with naming("load", path):
        members = file_ranges(Path(path))
        return _kernels(members, _manifest(members, expect))


@_again_if_replaced
def load_manifest(path: str | Path, *, expect: str | None = None) -> Manifest:
    """Return the manifest of an artifact; its other members are not read.

    Args:
        path: the folder or the file.
        expect: the root digest, 64 hexadecimal digits, or None to accept any artifact.

    Raises:
        DataError: ``path`` is not an artifact, or not the expected one.
    """
    with naming("load", path):
        return _manifest(file_ranges(Path(path)), expect)


def _manifest(members: FileRanges, expect: str | None) -> Manifest:
    """Return the manifest; raise DataError unless it is the expected one and lists all members."""
    data = content(members, MANIFEST)
    root = root_of(data)
    if expect is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", expect):
            raise DataError(
                "the expected root digest does not have 64 hexadecimal digits: give all of them, "
                "because an artifact with the same first digits can be made on purpose"
            )
        if not hmac.compare_digest(root, expect.lower()):
            raise DataError(
                f"its root digest is {root}, not the expected one: it is another artifact, or it "
                "was changed"
            )
    if ROOT not in members or content(members, ROOT) != root_line(root):
        raise DataError(f"{MANIFEST} is damaged: its digest is not the one in {ROOT}; {AGAIN}")
    manifest = Manifest.read(bytes(data))
    expected = {MANIFEST, ROOT, *manifest.members}
    for name in sorted(expected ^ {*members}):
        problem = "is missing" if name in expected else "is not listed in its manifest"
        raise DataError(f"{name!r} {problem}: {AGAIN}")
    for name, member in manifest.members.items():
        if members[name].size != member.size:
            raise DataError(
                f"{name} is damaged: it has {members[name].size:,} bytes instead of "
                f"{member.size:,}; {AGAIN}"
            )
    return manifest


def _expects(members: FileRanges, manifest: Manifest, net: Net) -> Expects:
    """Return the preprocessing and class names; the spec's own for an artifact of format 1."""
    import torch

    from netspec.runtime.expects import EXPECTS as KIND
    from netspec.runtime.expects import with_image

    if EXPECTS not in manifest.members:
        return net.expects
    expects = parsed(_checked(members, manifest, EXPECTS), EXPECTS, KIND, AGAIN)
    if (IMAGE in manifest.members) != (expects.image is not None):
        raise DataError(f"{EXPECTS} and {IMAGE} do not belong together: {AGAIN}")
    if expects.image is None:
        return expects
    values = bytearray(_checked(members, manifest, IMAGE))
    if len(values) != 4 * expects.image.size:
        raise DataError(f"{IMAGE} does not have the size of its image: {AGAIN}")
    image = torch.frombuffer(values, dtype=torch.float32).reshape(expects.image.shape)
    return with_image(expects, image, IMAGE)


def _kernels(members: FileRanges, manifest: Manifest) -> dict[str, bytes]:
    """Return the compiled kernels by name, after their digests are checked."""
    return {
        name: _checked(members, manifest, kernel_member(number))
        for number, name in enumerate(manifest.kernels)
    }


def _checked(members: FileRanges, manifest: Manifest, name: str) -> bytes:
    """Return the content of a member; raise DataError if its digest is wrong."""
    data = content(members, name)
    _check_digest(manifest, name, sha256(data).hexdigest())
    return bytes(data)


def _check_digest(manifest: Manifest, name: str, digest: str) -> None:
    if manifest.members[name].sha256 != digest:
        raise DataError(f"{name} is damaged: its digest is not the one in {MANIFEST}; {AGAIN}")
