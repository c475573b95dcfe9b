"""``netspec compile``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from netspec.cli.common import (
    IMAGES,
    json_option,
    print_json,
    print_notes,
    reports_errors,
    set_option,
    styled,
    texts_of,
)
from netspec.cli.expecting import expects_options
from netspec.cli.outputs import force_option, guard, output_option
from netspec.files.kinds import DESCRIPTION, FORMATS, description_of, format_of, kind_of_format
from netspec.files.members import LARGEST, parsed
from netspec.files.reading import read_named
from netspec.ir.arguments import DTYPES
from netspec.ir.words import as_size, counted
from netspec.language.diagnostics import printable
from netspec.lowering.passes import PASSES
from netspec.net import Net
from netspec.views.check import checked

if TYPE_CHECKING:
    from netspec.inference.saving import Saved
    from netspec.runtime.compiled import Compiled
    from netspec.runtime.verification import Verification

TARGETS = ("cpu", "cuda", "sm_80", "sm_90")


@click.command()
@click.argument("spec", metavar="SPEC|RUN")
@output_option("-o", "--output", metavar="PATH", help="Folder or file to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="What to write: an artifact of netspec, or the plain net for PyTorch or ONNX.  Default: "
    "as the suffix of PATH says; without a suffix an artifact.",
)
@force_option
@click.option("--target", type=click.Choice(TARGETS), default="cpu", show_default=True)
@click.option(
    "--dtype", type=click.Choice(DTYPES), help="Default: float32, or the type of the run."
)
@click.option(
    "--batch",
    type=IMAGES,
    default=1,
    show_default=True,
    metavar="N",
    help="Batch size to optimise for; other sizes run too.",
)
@click.option(
    "--weights",
    metavar="FILE|NAME",
    help="Weights of a spec: a file of netspec or of another framework (netspec weights --list), "
    "or the name of weights that come with the spec, such as digits.  Without this option they are "
    "random.  A run has its own.",
)
@expects_options
@click.option(
    "--heads", is_flag=True, help="Keep auxiliary heads, which only training needs, in an artifact."
)
@click.option("--measure", is_flag=True, help="Time the implementations of each stage.")
@click.option(
    "--exact",
    is_flag=True,
    help="Use only implementations as exact as sums of products: no Winograd convolutions.",
)
@click.option(
    "--choices",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File with the implementations to use, as --emit choices prints it.",
)
@click.option(
    "--emit",
    type=click.Choice(["python", "graph", "dot", "plan", "choices"]),
    help="Print a form of the net and stop.",
)
@click.option(
    "--print-after",
    "passes",
    metavar="PASS",
    multiple=True,
    type=click.Choice(list(PASSES)),
    help="Print the graph after a pass and stop; repeatable.",
)
@set_option
@json_option
@reports_errors
def compile(
    spec: str,
    output: Path | None,
    form: str | None,
    force: bool,
    target: str,
    dtype: str | None,
    batch: int,
    weights: str | None,
    prepare: str | None,
    classes: str | None,
    heads: bool,
    measure: bool,
    exact: bool,
    choices: Path | None,
    emit: str | None,
    passes: tuple[str, ...],
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Rewrite a net, choose how to compute each stage, run it once, and verify it against float64.

    With -o the net is written: as an artifact for `run` and netspec.load_artifact, or as a file for
    PyTorch (FILE.pt2) or ONNX (FILE.onnx) with a description next to it (FILE.onnx.json). The
    preprocessing of images and the class names are written with the net. A run directory is
    compiled with its trained weights.
    """
    from netspec.inference.source import expects_of, open_source

    expects = expects_of(prepare, classes)
    form = format_of(output, form)
    source = open_source(spec, weights, settings, is_prepared=prepare is not None)
    if output is not None:
        reads = [*texts_of(source.net), source.place, classes, choices]
        guard(output, kind_of_format(output, form), reads, force=force)
        if form != "artifact":
            guard(description_of(output), DESCRIPTION, reads, force=force)
    _require_output(output, form, heads=heads)
    if sum([bool(emit), bool(passes), output is not None or as_json]) > 1:
        raise click.UsageError("--emit and --print-after each print a text and stop: use one alone")
    if target not in ("cpu", "cuda"):
        is_written = output is not None and form == "artifact"
        _require_elsewhere(target, is_run=not emit and not is_written, measure=measure)
    if passes:
        _print_after(source.net, passes)
        return
    started = perf_counter()
    from netspec import compiler
    from netspec.inference.compiling import compiled, require_expects

    imported = perf_counter() - started
    if emit == "python":
        click.echo(compiler.python_of(source.net).strip())
        return
    decided = None if choices is None else _read_choices(choices)
    model, origin = compiled(
        source,
        expects,
        device=target,
        dtype=dtype,
        batch=batch,
        measured=measure,
        exact=exact,
        choices=decided,
    )
    if emit:
        click.echo(_emitted(emit, model))
        return
    if output is not None:
        require_expects(model, origin)
    seconds = {**model.net.seconds, "torch": imported, **model.seconds}
    ran, kernels, saved = None, None, None
    if target in compiler.AHEAD:
        kernels = _compiled_ahead(model, target, seconds)
    else:
        ran = _run(model, batch, seconds)
    if output is not None and _is_right(ran):
        saved = _saved(model, output, form, kernels, seconds, heads=heads, force=force)
    if as_json:
        _print_json(model, ran, seconds, batch, saved)
    else:
        _print(model.net, _says(model, ran, target, kernels, saved), seconds)
    if ran is not None and not _is_right(ran):
        _refuse(ran)


def _require_output(output: Path | None, form: str, *, heads: bool) -> None:
    """Raise UsageError if an option needs an output, or one of another format."""
    if form != "artifact" and output is None:
        raise click.UsageError(f"--format {form} writes a file: give its path with -o")
    if heads and (output is None or form != "artifact"):
        raise click.UsageError("--heads is for an artifact: give its path with -o")


def _require_elsewhere(target: str, *, is_run: bool, measure: bool) -> None:
    """Raise UsageError if the net would run on a GPU of another machine."""
    if is_run:
        raise click.UsageError(f"{target} is a GPU of another machine: write an artifact with -o")
    if measure:
        raise click.UsageError(
            f"--measure times implementations on this machine, and {target} is a GPU of another"
        )


def _saved(
    model: Compiled,
    output: Path,
    form: str,
    kernels: dict[str, bytes] | None,
    seconds: dict[str, float],
    *,
    heads: bool,
    force: bool,
) -> Saved:
    from netspec.inference.saving import written

    started = perf_counter()
    saved = written(model, output, form, heads=heads, kernels=kernels, force=force)
    seconds["write"] = perf_counter() - started
    return saved


class _Ran(NamedTuple):
    """A run of the net: the sizes of images and outputs, and the error of the outputs."""

    shapes: str
    dtype: str
    is_finite: bool
    verification: Verification


def _refuse(ran: _Ran) -> NoReturn:
    """Print what is wrong with the outputs, and end the command."""
    why = (
        "the outputs differ from float64 by more than rounding explains"
        if ran.is_finite
        else f"the outputs are not finite: the values of this net leave the range of {ran.dtype}"
    )
    click.echo(f"{styled('error', 'error')}: {why}", err=True)
    raise click.exceptions.Exit(1)


def _is_right(ran: _Ran | None) -> bool:
    """Return True if outputs are close enough to float64, or if the net could not be run."""
    return ran is None or ran.verification.passed


def _run(model: Compiled, batch: int, seconds: dict[str, float]) -> _Ran:
    import torch

    from netspec.runtime.dtypes import dtype_name
    from netspec.runtime.verification import as_tuple, random_images, verify

    images = random_images(model.net, batch=batch)
    started = perf_counter()
    with torch.inference_mode():
        inputs = [image.to(model.device, model.lowered.dtype) for image in images]
        outputs = as_tuple(model(*inputs))
    ran = perf_counter()
    verification = verify(model, images)
    seconds |= {"run": ran - started, "verify": perf_counter() - ran}
    pairs = zip(model.net.graph.inputs, images, strict=True)
    shapes = ", ".join(f"{name} {list(image.shape)}" for name, image in pairs)
    shapes += f" -> {', '.join(str(list(y.shape)) for y in outputs)}"
    dtype = dtype_name(model.lowered.dtype)
    return _Ran(shapes, dtype, all(bool(y.isfinite().all()) for y in outputs), verification)


def _compiled_ahead(model: Compiled, target: str, seconds: dict[str, float]) -> dict[str, bytes]:
    """Return the kernels of a net for a GPU of another machine."""
    from netspec.backends.cuda.ahead import compiled_kernels

    started = perf_counter()
    kernels = compiled_kernels(model.lowered, int(target.removeprefix("sm_")))
    seconds["compile"] = perf_counter() - started
    return kernels


def _print_after(net: Net, names: tuple[str, ...]) -> None:
    from netspec.lowering.passes import PIPELINE, optimise
    from netspec.views.graph import after_pass

    graph = net.graph.copy()
    shown = []
    for rewrite in PIPELINE:
        graph, rewrites = optimise(graph, [rewrite])
        if rewrite.RULE in names:
            shown.append(after_pass(rewrite.RULE, rewrites[rewrite.RULE], graph))
    click.echo("\n\n".join(shown))


def _emitted(emit: str, model: Compiled) -> str:
    from netspec.views import graph, plan

    lowered = model.lowered
    emitters: dict[str, Callable[[], str]] = {
        "graph": lambda: graph.as_text(lowered.graph),
        "dot": lambda: graph.as_dot(lowered.graph, model.net.name),
        "plan": lambda: plan.as_text(lowered.plan),
        "choices": lambda: json.dumps(
            {stage: choice.implementation for stage, choice in lowered.choices.items()}, indent=2
        ),
    }
    return emitters[emit]().rstrip()


def _read_choices(path: Path) -> dict[str, str]:
    from netspec.lowering.choices import CHOICES

    form = '{"STAGE": "IMPLEMENTATION"}'
    advice = f"it must be {form}, as `netspec compile --emit choices` prints it"
    return parsed(read_named(path, LARGEST), str(path), CHOICES, advice)


def _says(
    model: Compiled,
    ran: _Ran | None,
    target: str,
    kernels: dict[str, bytes] | None,
    saved: Saved | None,
) -> Iterator[tuple[str, str]]:
    """Yield the result of each step: its name with the first line, no name with further lines."""
    import torch

    from netspec.views import compiled

    net, lowered = model.net, model.lowered
    totals, heads = net.totals, net.totals_with_heads.parameters - net.totals.parameters
    apart = f" (and {heads:,} in {counted(len(net.graph.heads), 'head')})" if heads else ""
    yield "parse", f"{net.source.name}, {counted(len(net.source.text.splitlines()), 'line')}"
    yield "check", checked(net)
    yield "torch", f"torch {torch.__version__} imported"
    first, *others = compiled.rewrites(net.graph, lowered)
    yield "rewrite", first
    for line in others:
        yield "", line
    yield "choose", compiled.kernels(lowered)
    yield "plan", compiled.memory(lowered)
    yield "pack", f"{totals.parameters:,} parameters{apart}, {totals.macs:,} MACs per image"
    if ran is not None:
        yield "run", f"{ran.shapes}, {ran.dtype}"
        yield "verify", str(ran.verification)
    if kernels is not None:
        size = as_size(sum(map(len, kernels.values())))
        yield (
            "compile",
            f"{len(kernels) - 1} kernels for {target}, {size}; not run on this machine",
        )
    if saved is not None:
        # the first line has the name of the step, which has the time
        yield from zip(chain(["write"], repeat("")), str(saved).splitlines(), strict=False)


def _print(net: Net, says: Iterator[tuple[str, str]], seconds: dict[str, float]) -> None:
    lines = list(says)
    title = f"  {printable(net.title)}" if net.title else ""
    click.echo(click.style(net.name, bold=True) + title)
    width = max(len(text) for step, text in lines if step)
    for step, text in lines:
        time = f"{seconds[step] * 1000:8,.0f} ms" if step else ""
        click.echo(f"  {step:<8} {text:<{width}} {time}".rstrip())
    print_notes(net)


def _print_json(
    model: Compiled,
    ran: _Ran | None,
    seconds: dict[str, float],
    batch: int,
    saved: Saved | None,
) -> None:
    from netspec.runtime.dtypes import dtype_name
    from netspec.views import compiled

    net, totals = model.net, model.net.totals
    answer: dict[str, Any] = {
        "name": net.name,
        **compiled.as_json(model.lowered),
        "dtype": dtype_name(model.lowered.dtype),
        "batch": batch,
        "parameters": totals.parameters,
        "macs": totals.macs,
        "seconds": seconds,
        "error": ran.verification.error if ran and isfinite(ran.verification.error) else None,
        "allowed": ran.verification.allowed if ran else None,
        **(
            dict.fromkeys(("output", "description", "digest")) if saved is None else saved.as_json()
        ),
    }
    print_json(answer)
