"""``netspec explain``."""

from __future__ import annotations

import click

from netspec.language.handbook import explain as explanation_of


@click.command()
@click.argument("code", metavar="[CODE|syntax]", required=False)
def explain(code: str | None) -> None:
    """Explain a diagnostic with a wrong and a right example, or show the language on one screen.

    Without CODE, list all pages.
    """
    try:
        click.echo(explanation_of() if code is None else explanation_of(code))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="CODE") from None
