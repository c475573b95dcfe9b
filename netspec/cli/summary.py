"""``netspec summary``."""

from __future__ import annotations

import sys
from shutil import get_terminal_size

import click

from netspec.cli.common import json_option, print_json, print_notes, reports_errors, set_option
from netspec.net import load
from netspec.views.exchanges import exchanges
from netspec.views.exchanges import lines as exchange_lines
from netspec.views.table import lines


@click.command(short_help="Print the table of a net with derived values.")
@click.argument("spec")
@set_option
@click.option("--columns", is_flag=True, help="Print the bytes that the devices exchange.")
@json_option
@reports_errors
def summary(spec: str, settings: dict[str, str], columns: bool, as_json: bool) -> None:
    """Print the table of a net: derived sizes, parameters, MACs, receptive fields, totals.

    With --columns, print the part of the net that each device has, and the bytes that the devices
    exchange for each value.
    """
    net = load(spec, **settings)
    if as_json:
        print_json(net.as_json() | ({"exchanges": exchanges(net)} if columns else {}))
        return
    if columns:
        for text in exchange_lines(net):
            click.echo(text)
        return
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines(net, width):
        click.echo(click.style(line.text, bold=True) if line.is_strong else line.text)
    print_notes(net)
