"""``netspec check``."""

from __future__ import annotations

import click

from netspec.cli.common import (
    diagnostics_json,
    exit_code,
    json_option,
    print_json,
    set_option,
    styled,
)
from netspec.language.diagnostics import Diagnostic, SpecError, render
from netspec.net import load


@click.command(short_help="Check every shape and every claim.")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@set_option
@json_option
def check(specs: tuple[str, ...], settings: dict[str, str], as_json: bool) -> None:
    """Check every shape and every claim of specs, and report all that is wrong."""
    found: list[Diagnostic] = []
    code = 0
    for spec in specs:
        try:
            net = load(spec, **settings)
        except SpecError as error:
            found += error.diagnostics
            code = max(code, exit_code(error.diagnostics))
            if not as_json:
                click.echo(render(error.diagnostics, styled), err=True)
                many = len(error.diagnostics)
                click.echo(f"{spec}: {many:,} problem{'s' if many > 1 else ''}", err=True)
            continue
        found += net.notes
        if not as_json:
            if net.notes:
                click.echo(render(net.notes, styled))
            rows = sum(not row.is_inner for row in net.graph.rows.values())
            held = net.claims - len(net.notes)
            stages = len(net.graph) - len(net.graph.inputs)
            apart = f", {len(net.notes)} do not apply" if net.notes else ""
            click.echo(f"{spec}: {rows:,} rows, {stages:,} stages, {held:,} claims hold{apart}")
    if as_json:
        print_json(diagnostics_json(found))
    raise click.exceptions.Exit(code)
