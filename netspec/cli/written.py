"""The files that ``netspec compile -o`` writes: their format, checks before, a report after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netspec.cli.outputs import chosen_kind, guard
from netspec.files.kinds import ARTIFACT, DESCRIPTION, FOLDER, ONNX, PT2, description_of
from netspec.ir.expects import Expects
from netspec.ir.words import counted
from netspec.language.diagnostics import printable

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled

FORMATS = {"artifact": ARTIFACT, "pt2": PT2, "onnx": ONNX}


def form_of(form: str | None, output: Path | None) -> str:
    """Return the format by its name, or by the suffix of the output."""
    if form is not None or output is None:
        return form or "artifact"
    kind = chosen_kind(output, FORMATS.values(), ARTIFACT)
    return next(name for name in FORMATS if FORMATS[name] is kind)


def guard_places(
    output: Path | None, form: str, reads: Sequence[Path | str | None], *, force: bool
) -> None:
    """Check that the output and its description may be written.

    Raises:
        click.UsageError: As :func:`~netspec.cli.outputs.guard`.
    """
    is_folder = output is None or output.suffix not in ARTIFACT.suffixes
    kind = FOLDER if form == "artifact" and is_folder else FORMATS[form]
    guard(output, kind, reads, force=force)
    if output is not None and form != "artifact":
        guard(description_of(output), DESCRIPTION, reads, force=force)


def write(
    model: Compiled,
    output: Path,
    form: str,
    kernels: dict[str, bytes] | None,
    *,
    heads: bool,
    force: bool,
) -> str:
    """Write the model in the chosen format; return the root digest of an artifact."""
    if form == "artifact":
        from netspec.artifact.saving import save_artifact

        return save_artifact(model, output, kernels=kernels, heads=heads, force=force)
    from netspec.export import export_onnx, export_pt2

    plain = model.as_reference()
    export = {"onnx": export_onnx, "pt2": export_pt2}[form]
    export(plain, output, force=force)
    return ""


def says_written(
    model: Compiled, output: Path, form: str, digest: str, *, heads: bool
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report, each with its name; lines after the first have no name."""
    size = sum(f.stat().st_size for f in [output, *output.rglob("*")] if f.is_file())
    is_kept = output.is_file() or output.is_dir()  # a pipe or a device has no size
    yield "write", f"{output}, {size / 2**20:,.1f} MiB" if is_kept else str(output)
    if digest:
        yield "", f"root digest {digest}"
    if model.net.graph.heads and not heads:
        kept = ", which --heads keeps" if form == "artifact" else ""
        yield "", f"without {counted(len(model.net.graph.heads), 'head')}{kept}"
    if form == "artifact":
        yield "", f"it says: {_said(model.expects)}"
    elif beside := description_of(output):
        yield "", f"{beside} beside it says: {_said(model.expects)}"


def _said(expects: Expects) -> str:
    """Return one line on what a net expects of images, and its class names."""
    steps = str(expects) or "images are not changed"
    if expects.prepare is None:
        steps = "nothing about images"
    names = f"{counted(len(expects.classes), 'name')} of classes" if expects.classes else "no names"
    return printable(f"{steps}; {names}")
