"""``netspec ops``."""

from __future__ import annotations

import click

from netspec.cli.common import json_option, print_json
from netspec.ir.guess import did_you_mean
from netspec.ir.ops import OPERATORS
from netspec.views.operators import as_data, as_markdown, as_text


@click.command(short_help="Describe the operators.")
@click.argument("operator", required=False)
@json_option
@click.option("--markdown", is_flag=True, help="Print docs/operators.md.")
def ops(operator: str | None, as_json: bool, markdown: bool) -> None:
    """Describe an operator: formula, attributes, defaults; without OPERATOR, list them all."""
    if operator is not None and operator not in OPERATORS:
        guess = did_you_mean(operator, OPERATORS) or "`netspec ops` lists them all"
        raise click.BadParameter(f"there is no operator {operator}; {guess}", param_hint="OPERATOR")
    operators = [OPERATORS[operator]] if operator else list(OPERATORS.values())
    if as_json:
        print_json([as_data(op) for op in operators])
    elif markdown:
        click.echo(as_markdown(operators))
    elif operator:
        click.echo(as_text(operators[0]))
    else:
        for op in operators:
            click.echo(f"{op.name:<10} {as_data(op)['summary']}")
