"""``netspec check``."""

from __future__ import annotations

import click

from netspec.cli.common import (
    checked,
    diagnostics_json,
    exit_code,
    json_option,
    print_json,
    print_notes,
    set_option,
    styled,
)
from netspec.ir.words import counted
from netspec.language.diagnostics import Diagnostic, SpecError, render
from netspec.net import load


@click.command(short_help="Check every shape and every claim.")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@set_option
@json_option
def check(specs: tuple[str, ...], settings: dict[str, str], as_json: bool) -> None:
    """Check every shape and every claim of specs, and report all that is wrong."""
    diagnostics: list[Diagnostic] = []
    code = 0
    for spec in specs:
        try:
            net = load(spec, **settings)
        except SpecError as error:
            diagnostics += error.diagnostics
            code = max(code, exit_code(error.diagnostics))
            if not as_json:
                click.echo(render(error.diagnostics, styled), err=True)
                click.echo(f"{spec}: {counted(len(error.diagnostics), 'problem')}", err=True)
            continue
        diagnostics += [*net.warnings, *net.notes]
        if not as_json:
            print_notes(net)
            click.echo(f"{spec}: {checked(net)}")
    if as_json:
        print_json(diagnostics_json(diagnostics))
    raise click.exceptions.Exit(code)
