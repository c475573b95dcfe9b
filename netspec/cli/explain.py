"""``netspec explain``."""

from __future__ import annotations

import click

from netspec.language.handbook import explain as explanation_of


@click.command(short_help="Explain a diagnostic.")
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Explain a diagnostic with an example and its fix; without CODE, list all diagnostics."""
    try:
        click.echo(explanation_of() if code is None else explanation_of(code))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="CODE") from None
