"""``netspec compile``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
from netspec.cli.expecting import expects_of, expects_options, fill
from netspec.cli.outputs import force_option, output_option
from netspec.cli.written import FORMATS, form_of, guard_places, says_written, write
from netspec.files.kinds import description_of
from netspec.files.members import LARGEST, parsed
from netspec.files.reading import read_named
from netspec.inference.source import open_source
from netspec.ir.words import counted
from netspec.language.diagnostics import printable
from netspec.lowering.passes import PASSES
from netspec.net import Net
from netspec.views.check import checked

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled
    from netspec.runtime.verification import Verification

DTYPES = ("float32", "float64", "bfloat16", "float16")
TARGETS = ("cpu", "cuda", "sm_80", "sm_90")


@click.command(short_help="Optimise for a device, verify, write an artifact.")
@click.argument("spec", metavar="SPEC|RUN")
@output_option("-o", "--output", metavar="PATH", help="Where to write it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="What to write: our own, or the plain net for PyTorch or ONNX; "
    "what the suffix of PATH says unless given, and else an artifact.",
)
@force_option
@click.option("--target", type=click.Choice(TARGETS), default="cpu", show_default=True)
@click.option(
    "--dtype", type=click.Choice(DTYPES), help="float32, or the type of the run, unless said."
)
@click.option(
    "--batch",
    type=IMAGES,
    default=1,
    show_default=True,
    metavar="N",
    help="Images to choose implementations for.",
)
@click.option(
    "--weights",
    metavar="FILE|NAME",
    help="A safetensors file, or by their name, such as digits, weights that come with the spec; "
    "without it, random ones. A run has its own.",
)
@expects_options
@click.option(
    "--heads", is_flag=True, help="Keep auxiliary heads, which only training needs, in an artifact."
)
@click.option("--measure", is_flag=True, help="Time the implementations of each stage.")
@click.option(
    "--choices",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Implementations that are decided, as --emit choices prints them.",
)
@click.option(
    "--emit",
    type=click.Choice(["python", "graph", "dot", "plan", "choices"]),
    help="Print a state of the net and stop.",
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
    choices: Path | None,
    emit: str | None,
    passes: tuple[str, ...],
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Rewrite a net, choose how to compute each stage, run it once, and verify it against float64.

    With -o it is written: as an artifact that `run` and netspec.load_artifact take, or as a file
    for PyTorch (FILE.pt2) or ONNX (FILE.onnx), with a description beside it (FILE.onnx.json). What
    the net expects of images, and the names of its classes, travel with it. A run directory is
    compiled with the weights that were learned in it.
    """
    expects = expects_of(prepare, classes)
    form = form_of(form, output)
    source = open_source(spec, weights, settings)
    net, dtype = source.net, dtype or source.dtype
    guard_places(output, form, [*texts_of(net), source.place, classes, choices], force=force)
    is_artifact = output is not None and form == "artifact"
    if form != "artifact" and output is None:
        raise click.UsageError(f"--format {form} writes a file: say where with -o")
    if heads and not is_artifact:
        raise click.UsageError("--heads is for an artifact: say where with -o")
    if sum([bool(emit), bool(passes), output is not None or as_json]) > 1:
        raise click.UsageError("--emit and --print-after each print a text and stop: use one alone")
    if target not in ("cpu", "cuda") and not emit and not is_artifact:
        raise click.UsageError(f"{target} is a GPU that is elsewhere: write an artifact with -o")
    if target not in ("cpu", "cuda") and measure:
        raise click.UsageError(f"--measure times implementations here, and {target} is elsewhere")
    if passes:
        _print_after(net, passes)
        return
    started = perf_counter()
    import torch

    from netspec import compiler

    imported = perf_counter()
    if emit == "python":
        click.echo(compiler.python_of(net).strip())
        return
    decided = None if choices is None else _read_choices(choices)
    model = compiler.compile(
        net,
        device=target,
        dtype=getattr(torch, dtype),
        batch=batch,
        measured=measure,
        choices=decided,
    )
    if emit:
        click.echo(_emitted(emit, model))
        return
    fill(model, source, expects)
    seconds = {**net.seconds, "torch": imported - started, **model.seconds}
    ran, kernels = None, None
    if target in compiler.AHEAD:
        kernels = _compiled_ahead(model, target, seconds)
    else:
        ran = _run(model, batch, seconds)
    written = ""
    if output is not None and _is_right(ran):
        writing = perf_counter()
        written = write(model, output, form, kernels, heads=heads, force=force)
        seconds["write"] = perf_counter() - writing
    if as_json:
        _print_json(model, ran, seconds, batch, output, written)
    else:
        lines = [*_says(model, ran, target, kernels)]
        if output is not None and _is_right(ran):
            lines += says_written(model, output, form, written, heads=heads)
        _print(net, lines, seconds)
    if ran is not None and not _is_right(ran):
        _refuse(ran, dtype)


class _Ran(NamedTuple):
    """A net that was run once: sizes of images and outputs, and the error of the outputs."""

    shapes: str
    is_finite: bool
    verification: Verification


def _refuse(ran: _Ran, dtype: str) -> NoReturn:
    """End the command with what is wrong with the outputs."""
    why = (
        "the outputs differ from float64 by more than rounding explains"
        if ran.is_finite
        else f"the outputs are not finite: the values of this net leave the range of {dtype}"
    )
    click.echo(f"{styled('error', 'error')}: {why}", err=True)
    raise click.exceptions.Exit(1)


def _is_right(ran: _Ran | None) -> bool:
    """Return whether outputs are near enough to float64; True if the net could not be run."""
    return ran is None or ran.verification.passed


def _run(model: Compiled, batch: int, seconds: dict[str, float]) -> _Ran:
    import torch

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
    return _Ran(shapes, all(bool(y.isfinite().all()) for y in outputs), verification)


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
) -> Iterator[tuple[str, str]]:
    """Yield what each step did: its name with the first line, an empty name with further lines."""
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
    yield "pack", f"{totals.parameters:,} parameters{apart}, {totals.macs:,} MACs an image"
    if ran is not None:
        off = ran.verification
        yield "run", f"{ran.shapes}, {str(lowered.dtype).removeprefix('torch.')}"
        yield (
            "verify",
            f"relative error {off.error:.1e} against float64, {off.allowed:.1e} allowed",
        )
    if kernels is not None:
        size = sum(map(len, kernels.values())) / 2**20
        yield "compile", f"{len(kernels) - 1} kernels for {target}, {size:,.1f} MiB; not run here"


def _print(net: Net, lines: list[tuple[str, str]], seconds: dict[str, float]) -> None:
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
    output: Path | None,
    digest: str,
) -> None:
    from netspec.views import compiled

    net, totals = model.net, model.net.totals
    written = output if _is_right(ran) else None
    beside = None if written is None or digest else description_of(written)
    answer: dict[str, Any] = {
        "name": net.name,
        **compiled.as_json(model.lowered),
        "dtype": str(model.lowered.dtype).removeprefix("torch."),
        "batch": batch,
        "parameters": totals.parameters,
        "macs": totals.macs,
        "seconds": seconds,
        "error": ran.verification.error if ran and isfinite(ran.verification.error) else None,
        "allowed": ran.verification.allowed if ran else None,
        "output": None if written is None else str(written),
        "description": None if beside is None else str(beside),
        "digest": digest or None,
    }
    print_json(answer)
