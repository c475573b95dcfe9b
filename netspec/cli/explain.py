"""``netspec explain``."""

from __future__ import annotations

import click

from netspec.ir.guess import did_you_mean
from netspec.language.handbook import codes, explanation, topics


@click.command(short_help="Explain a diagnostic, or the syntax.")
@click.argument("code", metavar="[CODE|syntax]", required=False)
def explain(code: str | None) -> None:
    """Explain a diagnostic with a wrong and a fixed example, or show the language on one screen.

    Without CODE, all pages are listed.
    """
    if code is None:
        for page in (*topics(), *codes()):
            click.echo(f"{page:<6} {explanation(page).title}")
        return
    pages = {page.lower(): page for page in (*topics(), *codes())}
    page = pages.get(code.lower(), "")
    if not page:
        guess = did_you_mean(code, pages.values()) or "`netspec explain` lists the pages"
        raise click.BadParameter(f"there is no page {code}; {guess}", param_hint="CODE")
    click.echo(explanation(page).text)
