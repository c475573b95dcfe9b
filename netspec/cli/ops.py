"""``netspec ops``."""

from __future__ import annotations

import click

from netspec.cli.common import json_option, print_json
from netspec.views.operators import as_markdown
from netspec.views.operators import ops as pages_of


@click.command()
@click.argument("operator", required=False)
@json_option
@click.option("--markdown", is_flag=True, help="Print the page docs/operators.md.")
def ops(operator: str | None, as_json: bool, markdown: bool) -> None:
    """Describe an operator: formula, attributes, defaults; without OPERATOR, list all operators."""
    try:
        pages = pages_of() if operator is None else (pages_of(operator),)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="OPERATOR") from None
    if as_json:
        print_json([page.as_json() for page in pages])
    elif markdown:
        click.echo(as_markdown([page.operator for page in pages]))
    else:
        click.echo(pages if operator is None else pages[0])
