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


@click.command(short_help="Follow a row through the compiler.")
@click.argument("spec")
@click.argument("row")
@set_option
@click.option("--batch", type=IMAGES, default=1, show_default=True, metavar="N")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option(
    "--measure",
    "is_measured",
    is_flag=True,
    help="Time all implementations of each stage, and take the fastest.",
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
    """Follow a row through the compiler, from the spec to the steps that run.

    ROW is a row's label, or the name of a stage, as `summary --json` has them. Shown are what it
    means, what passes made of it and what they refused, which implementation each step has, where
    its result lies, and its time beside what this machine could do at best.
    """
    net = load(spec, **settings)
    net.require_numbers()
    import torch

    from netspec.tracing.data import as_data
    from netspec.tracing.text import lines
    from netspec.tracing.tracing import ROUNDS
    from netspec.tracing.tracing import trace as follow

    with progress(ROUNDS + 1) as advance:
        traced = follow(
            net,
            row,
            dtype=getattr(torch, dtype),
            batch=batch,
            measured=is_measured,
            advance=lambda: advance(net.name),
        )
    if as_json:
        print_json(as_data(traced))
        return
    for line in lines(traced, styled):
        click.echo(line)
    print_notes(net)
