"""``netspec summary``."""

from __future__ import annotations

import sys

import click

from netspec.cli.common import json_option, print_json, reports_errors, set_option
from netspec.net import load


@click.command(short_help="Print the table of a net, derived.")
@click.argument("spec")
@set_option
@json_option
@reports_errors
def summary(spec: str, settings: dict[str, str], as_json: bool) -> None:
    """Print the table of a net, derived: sizes, parameters, MACs, receptive fields, totals."""
    net = load(spec, **settings)
    if as_json:
        from netspec.views.summary import summary as as_data

        print_json(as_data(net))
        return
    from netspec.views.table import as_text, print_table

    if sys.stdout.isatty():
        print_table(net)
    else:
        click.echo(as_text(net))
