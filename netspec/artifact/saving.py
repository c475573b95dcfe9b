"""Saving a compiled net as an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from netspec.artifact import weights
from netspec.artifact.lowering import lowered_as, plan_bytes
from netspec.artifact.manifest import (
    MANIFEST,
    PLAN,
    ROOT,
    WEIGHTS,
    Manifest,
    dtype_name,
    kernel_member,
    root_line,
    versions,
)
from netspec.artifact.messages import naming
from netspec.artifact.reading import SUFFIX
from netspec.artifact.spec import kept_settings, members_of, net_of
from netspec.artifact.writing import written
from netspec.files.kinds import ARTIFACT, FOLDER, require_place
from netspec.runtime.compiled import Compiled


def save_artifact(
    model: Compiled,
    path: str | Path,
    *,
    kernels: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> str:
    """Write a compiled net with its weights, whole or not at all.

    Args:
        model: what :func:`netspec.compile` made.
        path: a folder, or a single file if it ends in ``.netspec``.  An artifact that is there
            already is replaced; a folder with anything else in it is not.
        kernels: compiled kernels by name.
        force: replace a file of another kind; a folder of other files stays all the same.

    Returns:
        The root digest, 64 hexadecimal digits, which :func:`load_artifact` takes as ``expect``.

    Raises:
        DataError: it cannot be written.
    """
    require_place(Path(path), ARTIFACT if Path(path).suffix == SUFFIX else FOLDER, force=force)
    lowered, compiled = model.lowered, sorted((kernels or {}).items())
    with naming("write", path), written(Path(path)) as put:
        texts, asked = members_of(model.net)
        plan = plan_bytes(lowered)
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
            target=lowered.backend.name,
            dtype=dtype_name(lowered.dtype),
            batch=lowered.batch,
            trained=model.is_trained,
            kernels=tuple(name for name, _ in compiled),
            members=members,
        )
        # what could not be loaded again is not written
        lowered_as(
            plan, net_of(manifest, texts), Manifest.read(manifest.as_bytes()), lowered.backend
        )
        put(MANIFEST, [manifest.as_bytes()])
        put(ROOT, [root_line(manifest.root)])
    return manifest.root
