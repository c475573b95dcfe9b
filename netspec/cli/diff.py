"""``netspec diff``."""

from __future__ import annotations

import click

from netspec.cli.common import json_option, print_json, reports_errors, setting, styled
from netspec.net import load
from netspec.views.diff import diff as compare
from netspec.views.diff_table import lines

ROLES = {"removed": "error", "added": "help", "changed": "note"}


@click.command()
@click.argument("a")
@click.argument("b")
@setting("--set-a", "settings_a", "A")
@setting("--set-b", "settings_b", "B")
@json_option
@reports_errors
def diff(
    a: str, b: str, settings_a: dict[str, str], settings_b: dict[str, str], as_json: bool
) -> None:
    """Compare two nets, row by row: layers, kernels, sizes, parameters, MACs, totals.

    A and B are specs. Rows with the same label are compared. The other rows are paired if they
    begin with the same operator. Blocks are expanded: the nets are equal if they compute the same.
    """
    difference = compare(load(a, **settings_a), load(b, **settings_b))
    if as_json:
        print_json(difference.as_json())
        return
    for line in lines(difference):
        if line.role == "heading":
            click.echo(click.style(line.text, bold=True))
        else:
            click.echo(styled(line.text, ROLES[line.role]) if line.role else line.text)
