"""``netspec fmt``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from netspec.cli.common import styled
from netspec.errors import DataError
from netspec.language.diagnostics import SpecError, render
from netspec.language.format import Formatted, formatted
from netspec.language.format import fmt as format_file
from netspec.language.limits import MAX_BYTES

STDIN = "-"


@click.command()
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not formatted.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def fmt(specs: tuple[str, ...], check: bool, diff: bool) -> None:
    """Format specs in place: spaces, blank lines, columns of tables, needless quotes; nothing else.

    A file with mistakes is not changed. With - as SPEC, standard input is formatted and printed.
    """
    code = 0
    for spec in specs:
        try:
            result = _format(spec)
            if diff:
                click.echo(result.diff(), nl=False)
            if check and result.is_changed:
                code = 1
                if not diff:
                    click.echo(f"{result.name}: not formatted")
            if not (check or diff) and result.path is None:
                click.echo(result.text.encode(), nl=False)
            elif not (check or diff) and result.is_changed:
                result.save()
                click.echo(f"{result.name}: formatted")
        except SpecError as error:
            code = 1
            click.echo(render(error.diagnostics, styled), err=True)
        except (DataError, OSError) as error:
            code = 1
            click.echo(f"{styled('error', 'error')}: {error}", err=True)
    raise click.exceptions.Exit(code)


def _format(spec: str) -> Formatted:
    if spec != STDIN:
        return format_file(Path(spec))
    stream = getattr(sys.stdin, "buffer", None)
    return formatted(stream.read(MAX_BYTES + 1) if stream else b"", "<stdin>")
