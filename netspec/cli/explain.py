"""``netspec explain``."""

from __future__ import annotations

import click

from netspec.ir.guess import did_you_mean
from netspec.language.handbook import codes, explanation


@click.command(short_help="Explain a diagnostic.")
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Explain a diagnostic with an example and its mending; without CODE, list them all."""
    if code is None:
        for known in codes():
            click.echo(f"{known}  {explanation(known).title}")
        return
    known = code.upper()
    if known not in codes():
        guess = did_you_mean(known, codes()) or "`netspec explain` lists them all"
        raise click.BadParameter(f"there is no diagnostic {code}; {guess}", param_hint="CODE")
    click.echo(explanation(known).text)
