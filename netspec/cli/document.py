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
from netspec.net import load
from netspec.views.documents import document as documented
from netspec.views.documents import lines, markdown


@click.command()
@click.argument("specs", metavar="SPEC...", nargs=-1)
@set_option
@json_option
@click.option("--markdown", "as_page", is_flag=True, help="Print the page docs/documents.md.")
@reports_errors
def document(
    specs: tuple[str, ...], settings: dict[str, str], as_json: bool, as_page: bool
) -> None:
    """Compare the printed tables in a spec with the derived values.

    Each cell agrees, or disagrees, or has an erratum that says why the printed value is wrong. Each
    sentence holds, is false, is measured by a command, or needs data. With --markdown and no SPEC,
    print all bundled specs.
    """
    if as_page and as_json:
        raise click.UsageError("give --json or --markdown, not both")
    if as_page:
        click.echo(markdown([load(spec, **settings) for spec in specs or bundled()]), nl=False)
        return
    if not specs:
        raise click.UsageError("name a spec, or give --markdown to print all of them")
    results = documented(specs, settings=settings)
    if as_json:
        data = [result.as_json() for result in results]
        print_json(data[0] if len(data) == 1 else data)
    for i, result in enumerate(results):
        if not as_json:
            click.echo("\n" * (i > 0), nl=False)
            for line in lines(result.net):
                click.echo(styled(line.text, line.role) if line.role else line.text)
        if result.errors:
            click.echo(render(result.errors, styled), err=True)
    if any(result.errors for result in results):
        raise click.exceptions.Exit(1)
