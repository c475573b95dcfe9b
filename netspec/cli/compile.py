"""``netspec compile``."""

from __future__ import annotations

from math import isfinite
from time import perf_counter

import click

from netspec.cli.common import (
    checked,
    count,
    json_option,
    print_json,
    print_notes,
    reports_errors,
    set_option,
    styled,
)
from netspec.language.diagnostics import printable
from netspec.net import load

DTYPES = ("float32", "float64", "bfloat16", "float16")


@click.command(short_help="Lower to PyTorch, run once, verify.")
@click.argument("spec")
@set_option
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--batch", type=click.IntRange(1, 100_000), default=1, show_default=True, metavar="N")
@click.option("--emit", type=click.Choice(["python"]), help="Print the lowered net and stop.")
@json_option
@reports_errors
def compile(
    spec: str,
    settings: dict[str, str],
    dtype: str,
    batch: int,
    emit: str | None,
    as_json: bool,
) -> None:
    """Parse, check and lower a net to PyTorch, run it once, and verify it against float64."""
    net = load(spec, **settings)
    started = perf_counter()
    import torch

    from netspec.compiler import as_tuple, random_images, reference, verify
    from netspec.compiler import compile as compile_net

    imported = perf_counter()
    model = compile_net(net, dtype=getattr(torch, dtype), batch=batch)
    lowered = perf_counter()
    if emit:
        click.echo(str(reference(net, dtype=getattr(torch, dtype)).code).strip())
        return
    images = random_images(net, batch=batch)
    with torch.inference_mode():
        outputs = model(*(image.to(getattr(torch, dtype)) for image in images))
    ran = perf_counter()
    verification = verify(model, images)
    verified = perf_counter()

    graph, totals, with_heads = net.graph, net.totals, net.totals_with_heads
    seconds = {
        **net.seconds,
        "torch": imported - started,
        "lower": lowered - imported,
        "run": ran - lowered,
        "verify": verified - ran,
    }
    if as_json:
        print_json(
            {
                "name": net.name,
                "backend": "reference",
                "dtype": dtype,
                "batch": batch,
                "parameters": totals.parameters,
                "macs": totals.macs,
                "seconds": seconds,
                "error": verification.error if isfinite(verification.error) else None,
                "allowed": verification.allowed,
            }
        )
    else:
        heads = with_heads.parameters - totals.parameters
        apart = f" (and {heads:,} in {count(len(graph.heads), 'head')})" if heads else ""
        shapes = ", ".join(
            f"{name} {list(i.shape)}" for name, i in zip(graph.inputs, images, strict=True)
        )
        given = ", ".join(str(list(o.shape)) for o in as_tuple(outputs))
        says = {
            "parse": f"{net.source.name}, {count(len(net.source.text.splitlines()), 'line')}",
            "check": checked(net),
            "torch": f"torch {torch.__version__} imported",
            "lower": f"{totals.parameters:,} parameters{apart}, {totals.macs:,} MACs an image",
            "run": f"{shapes} -> {given}, {dtype}",
            "verify": f"relative error {verification.error:.1e} against float64, "
            f"{verification.allowed:.1e} allowed",
        }
        click.echo(
            click.style(net.name, bold=True) + (f"  {printable(net.title)}" if net.title else "")
        )
        width = max(map(len, says.values()))
        for step, text in says.items():
            click.echo(f"  {step:<7} {text:<{width}} {seconds[step] * 1000:8,.0f} ms")
        print_notes(net)
    if not verification.passed:
        finite = all(output.isfinite().all() for output in as_tuple(outputs))
        why = (
            "the outputs differ from float64 by more than rounding explains"
            if finite
            else f"the outputs are not finite: the values of this net leave the range of {dtype}"
        )
        click.echo(f"{styled('error', 'error')}: {why}", err=True)
        raise click.exceptions.Exit(1)
