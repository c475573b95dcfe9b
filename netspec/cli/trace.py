"""``netspec trace``."""

from __future__ import annotations

import click

from netspec.cli.common import (
    IMAGES,
    json_option,
    print_json,
    print_notes,
    progress,
    reports_errors,
    set_option,
    styled,
)
from netspec.net import load
from netspec.timing import DTYPES


@click.command()
@click.argument("spec")
@click.argument("row")
@set_option
@click.option(
    "--batch", type=IMAGES, default=1, show_default=True, metavar="N", help="Images per batch."
)
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option(
    "--measure",
    "is_measured",
    is_flag=True,
    help="Time all implementations of each stage, and use the fastest.",
)
@json_option
@reports_errors
def trace(
    spec: str,
    row: str,
    settings: dict[str, str],
    batch: int,
    dtype: str,
    is_measured: bool,
    as_json: bool,
) -> None:
    """Trace a row through the compiler, from the spec to the steps that run.

    ROW is the label of a row, or the name of a stage (`summary --json` lists both). The output
    shows the stages of the row, the passes that rewrote them, the passes that did not and why, and
    the implementation of each step, its buffer, its time, and the least possible time.
    """
    net = load(spec, **settings)
    net.require_numbers()
    from netspec.tracing.text import lines
    from netspec.tracing.tracing import ROUNDS
    from netspec.tracing.tracing import trace as trace_row

    with progress(ROUNDS + 1) as advance:
        traced = trace_row(
            net,
            row,
            dtype=dtype,
            batch=batch,
            measured=is_measured,
            advance=lambda: advance(net.name),
        )
    if as_json:
        print_json(traced.as_json())
        return
    for line in lines(traced, styled):
        click.echo(line)
    print_notes(net)
