"""``netspec summary``."""

from __future__ import annotations

import sys
from shutil import get_terminal_size

import click

from netspec.cli.common import json_option, print_json, print_notes, reports_errors, set_option
from netspec.net import load
from netspec.views.summary import summary as as_data
from netspec.views.table import lines


@click.command(short_help="Print the table of a net, derived.")
@click.argument("spec")
@set_option
@json_option
@reports_errors
def summary(spec: str, settings: dict[str, str], as_json: bool) -> None:
    """Print the table of a net, derived: sizes, parameters, MACs, receptive fields, totals."""
    net = load(spec, **settings)
    if as_json:
        print_json(as_data(net))
        return
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines(net, width):
        click.echo(click.style(line.text, bold=True) if line.is_strong else line.text)
    print_notes(net)
