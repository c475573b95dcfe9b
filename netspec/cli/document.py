"""``netspec document``."""

from __future__ import annotations

import click

from netspec import bundled
from netspec.cli.common import (
    json_option,
    print_json,
    reports_errors,
    set_option,
    styled,
)
from netspec.language.diagnostics import render
from netspec.language.saved import opened
from netspec.net import examined, load
from netspec.views.documents import as_data, lines, markdown


@click.command(short_help="Show printed tables beside derived ones, cell by cell.")
@click.argument("specs", metavar="SPEC...", nargs=-1)
@set_option
@json_option
@click.option("--markdown", "as_page", is_flag=True, help="Print one page, as docs/documents.md.")
@reports_errors
def document(
    specs: tuple[str, ...], settings: dict[str, str], as_json: bool, as_page: bool
) -> None:
    """Show the tables that a spec carries as printed, beside what is derived.

    Each cell agrees, or has an erratum that says why the print cannot be right, or disagrees;
    each sentence holds, is false, is measured by a command, or needs data.  With --markdown and
    no SPEC, all bundled specs.
    """
    if as_page and as_json:
        raise click.UsageError("--json or --markdown, not both")
    if as_page:
        click.echo(markdown([load(spec, **settings) for spec in specs or bundled()]), nl=False)
        return
    if not specs:
        raise click.UsageError("name a spec, or all of them on one page with --markdown")
    results = [examined(*opened(spec, settings)) for spec in specs]
    if as_json:
        data = [as_data(net) for net, _ in results]
        print_json(data[0] if len(data) == 1 else data)
    for i, (net, problems) in enumerate(results):
        if not as_json:
            click.echo("\n" * (i > 0), nl=False)
            for line in lines(net):
                click.echo(styled(line.text, line.role) if line.role else line.text)
        if problems.errors:
            click.echo(render(problems.errors, styled), err=True)
    if any(problems.errors for _, problems in results):
        raise click.exceptions.Exit(1)
