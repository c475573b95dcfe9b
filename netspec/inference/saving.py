"""Save a net for use, as ``netspec compile -o`` does: an artifact, an ONNX model or a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netspec.files.kinds import FORMATS, description_of, format_of
from netspec.inference.compiling import require_expects
from netspec.inference.source import expects_of
from netspec.inference.subject import known_subject
from netspec.ir.arguments import choice, place
from netspec.ir.expects import Expects
from netspec.language.definitions import Setting
from netspec.printing import Printed

if TYPE_CHECKING:
    from netspec.net import Net
    from netspec.runtime.compiled import Compiled


@dataclass(frozen=True, repr=False)
class Saved(Printed):
    """A net that was saved.

    Attributes:
        path: Folder or file that was written.
        format: One of ``artifact``, ``pt2`` and ``onnx``.
        digest: Root digest of an artifact, which ``expect`` of :func:`netspec.load_artifact` takes;
            empty for other formats.
        expects: What the net expects of images, and the names of its classes.
        heads: Number of auxiliary heads that were omitted.
    """

    path: Path
    format: str
    digest: str
    expects: Expects
    heads: int

    @property
    def description(self) -> Path | None:
        """File that describes an exported net; None for an artifact, a pipe or a device."""
        return None if self.format == "artifact" else description_of(self.path)


def save(
    model: Compiled | Net | str | Path,
    path: str | Path,
    *,
    format: str | None = None,
    weights: str | Path | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    heads: bool = False,
    kernels: Mapping[str, bytes] | None = None,
    force: bool = False,
    settings: Mapping[str, Setting] | None = None,
) -> Saved:
    """Save a net with its weights, whole or not at all, as ``netspec compile -o`` does.

    Unlike the command, it does not run the net: :func:`netspec.verify` compares the outputs of a
    model with those in float64.

    Args:
        model: a compiled net, or what :func:`netspec.classify` takes.
        path: where to write; the suffix ``.onnx`` or ``.pt2`` gives the format.  An artifact is a
            folder, or a single file if the path ends in ``.netspec``.
        format: ``artifact``, ``onnx`` or ``pt2``, in place of what the suffix says.
        weights: a file of weights, or the name of weights that come with a bundled spec; for a
            spec or a net.
        prepare, classes: what the net expects of images, as :func:`netspec.classify` takes it;
            saved with the net.
        heads: keep auxiliary heads, which only training needs; for an artifact.
        kernels: compiled kernels by name; for an artifact.
        force: replace a file of another kind.
        settings: values of the parameters of a spec.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: it cannot be written, or the format cannot express it; or a step that prepares
            images needs statistics of a training set that are missing.

    Warns:
        UserWarning: the net is trained, and nothing says how images are prepared.
    """
    target = place("path", path)
    form = format_of(target, None if format is None else choice("format", format, FORMATS))
    if heads and form != "artifact":
        raise ValueError(f"heads are kept in an artifact only, not in the format {form}")
    subject = known_subject(
        model, weights=weights, settings=settings, expects=expects_of(prepare, classes)
    )
    compiled = subject.model
    before, compiled.expects = compiled.expects, subject.expects
    try:
        require_expects(compiled, subject.origin)
        return written(compiled, target, form, heads=heads, kernels=kernels, force=force)
    finally:
        compiled.expects = before  # a model of the caller's is not changed


def written(
    model: Compiled,
    path: Path,
    form: str,
    *,
    heads: bool = False,
    kernels: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> Saved:
    """Write a compiled net as it is; arguments and errors are those of :func:`save`."""
    digest = ""
    if form == "artifact":
        from netspec.artifact.saving import save_artifact

        digest = save_artifact(model, path, kernels=kernels, heads=heads, force=force)
    else:
        from netspec.export import export_onnx, export_pt2

        export = {"onnx": export_onnx, "pt2": export_pt2}[form]
        export(model.as_reference(), path, force=force)
    left_out = 0 if heads else len(model.net.graph.heads)
    return Saved(path, form, digest, model.expects, left_out)
