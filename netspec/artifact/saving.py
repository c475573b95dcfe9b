"""Save a compiled net as an artifact."""

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
from netspec.runtime.dtypes import dtype_name
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
        model: the result of :func:`netspec.compile`.
        path: a folder, or a single file if it ends in ``.netspec``.  An existing artifact is
            replaced; a folder with other files is an error.
        kernels: compiled kernels by name.
        heads: also save the parameters of auxiliary heads, which only training needs.
        force: replace a file of another kind; a folder with other files is never replaced.

    Returns:
        The root digest, 64 hexadecimal digits: the argument ``expect`` of :func:`load_artifact`.

    Raises:
        DataError: the artifact cannot be written, a parameter is NaN or infinite, or the model has
            hooks or modules that cannot be saved.
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
        # Load it again before the manifest is written, so that an artifact that cannot be loaded is
        # never written.
        lowered_as(
            plan, net_of(manifest, texts), Manifest.read(manifest.as_bytes()), lowered.backend
        )
        put(MANIFEST, [manifest.as_bytes()])
        put(ROOT, [root_line(manifest.root)])
    return manifest.root


def _values(model: Compiled, net: Net) -> dict[str, Tensor]:
    """Return the values of a net's parameters in a model, with parametrisations applied.

    Raises:
        DataError: a value is not finite, or the model computes something else than its spec.
    """
    reason = reason_to_call(model)
    if reason is not None:
        raise DataError(
            f"an artifact contains {model.net.name} as its spec describes it, and the model "
            f"{reason}: remove them (handle.remove(), del model.forward)"
        )
    try:
        model.refresh()  # raises an error for modules and parameters with which the net cannot run
        values = model.canonical()
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(str(error)) from None
    written = {name: values[name] for name, _, _ in parameter_names(net.graph)}
    require_finite_to_save(written, model.net.name)
    return written
