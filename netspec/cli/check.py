"""``netspec check``."""

from __future__ import annotations

import click

from netspec.cli.common import (
    diagnostics_json,
    exit_code,
    json_option,
    print_json,
    print_notes,
    set_option,
    styled,
)
from netspec.language.diagnostics import Diagnostic
from netspec.views.check import check as checked
from netspec.views.check import problems_of, verdict


@click.command()
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@set_option
@json_option
def check(specs: tuple[str, ...], settings: dict[str, str], as_json: bool) -> None:
    """Check every shape and every claim of specs, and report all mistakes."""
    diagnostics: list[Diagnostic] = []
    code = 0
    for spec in specs:
        result = checked(spec, settings=settings)
        diagnostics += result.diagnostics
        code = max(code, 0 if result else exit_code(result.errors))
        if as_json:
            continue
        if problems := problems_of(result, styled):
            click.echo(problems, err=True)
        if result.net is not None:
            print_notes(result.net)
        click.echo(verdict(result), err=not result)
    if as_json:
        print_json(diagnostics_json(diagnostics))
    raise click.exceptions.Exit(code)
