"""Saving a compiled net as an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from netspec.artifact import weights
from netspec.artifact.lowering import lowered_as, plan_bytes
from netspec.artifact.manifest import (
    EXPECTS,
    IMAGE,
    MANIFEST,
    PLAN,
    ROOT,
    WEIGHTS,
    Manifest,
    canonical,
    dtype_name,
    kernel_member,
    root_line,
    versions,
)
from netspec.artifact.messages import naming
from netspec.artifact.spec import kept_settings, members_of, net_of
from netspec.artifact.writing import written
from netspec.errors import DataError, require_type
from netspec.files.finite import require_finite_to_save
from netspec.files.kinds import artifact_kind, require_place
from netspec.files.tensors import bytes_of
from netspec.ir.arguments import place
from netspec.ir.parameter_names import parameter_names
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.runtime.expects import as_json, image_of
from netspec.runtime.uncalled import reason_to_call


def save_artifact(
    model: Compiled,
    path: str | Path,
    *,
    kernels: Mapping[str, bytes] | None = None,
    heads: bool = False,
    force: bool = False,
) -> str:
    """Write a compiled net with its weights, whole or not at all.

    Args:
        model: what :func:`netspec.compile` made.
        path: a folder, or a single file if it ends in ``.netspec``.  An artifact that is there
            already is replaced; a folder with anything else in it is not.
        kernels: compiled kernels by name.
        heads: keep the parameters of auxiliary heads, which only training needs.
        force: replace a file of another kind; a folder of other files stays all the same.

    Returns:
        The root digest, 64 hexadecimal digits, which :func:`load_artifact` takes as ``expect``.

    Raises:
        DataError: it cannot be written, a parameter is NaN or infinite, or the model has hooks or
            modules that an artifact does not hold.
    """
    require_type("model", model, Compiled, "what netspec.compile returns")
    path = place("path", path)
    require_place(path, artifact_kind(path), force=force)
    lowered, compiled = model.lowered, sorted((kernels or {}).items())
    net = model.net if heads else model.net.without_heads()
    image = image_of(model.expects)
    with naming("write", path):
        values = _values(model, net)
    with naming("write", path), written(Path(path)) as put:
        texts, asked = members_of(model.net)
        plan = plan_bytes(lowered)
        members = {name: put(name, [text]) for name, text in texts.items()}
        members[PLAN] = put(PLAN, [plan])
        members[WEIGHTS] = put(WEIGHTS, weights.pieces(values, net, lowered.dtype))
        members[EXPECTS] = put(EXPECTS, [canonical(as_json(model.expects))])
        if image is not None:
            members[IMAGE] = put(IMAGE, [bytes_of(image)])
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
            heads=net.has_heads and bool(net.graph.heads),
        )
        # what could not be loaded again is not written
        lowered_as(
            plan, net_of(manifest, texts), Manifest.read(manifest.as_bytes()), lowered.backend
        )
        put(MANIFEST, [manifest.as_bytes()])
        put(ROOT, [root_line(manifest.root)])
    return manifest.root


def _values(model: Compiled, net: Net) -> dict[str, Tensor]:
    """Return what the parameters of a net are in a model, also where something computes them.

    Raises:
        DataError: one is not finite, or the model computes something else than its spec.
    """
    reason = reason_to_call(model)
    if reason is not None:
        raise DataError(
            f"an artifact holds {model.net.name} as its spec says, and the model {reason}: undo "
            "that (handle.remove(), del model.forward)"
        )
    try:
        model.refresh()  # which refuses modules and parameters that the net does not run with
        values = model.canonical()
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(str(error)) from None
    written = {name: values[name] for name, _, _ in parameter_names(net.graph)}
    require_finite_to_save(written, model.net.name)
    return written
