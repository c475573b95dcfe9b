"""``netspec summary``."""

from __future__ import annotations

import sys
from shutil import get_terminal_size

import click

from netspec.cli.common import json_option, print_json, print_notes, reports_errors, set_option
from netspec.net import load
from netspec.views.table import lines


@click.command()
@click.argument("spec")
@set_option
@click.option("--expand", is_flag=True, help="Print the rows inside blocks and branches too.")
@click.option("--columns", is_flag=True, help="Print the bytes that the devices exchange.")
@json_option
@reports_errors
def summary(
    spec: str, settings: dict[str, str], expand: bool, columns: bool, as_json: bool
) -> None:
    """Print the table of a net: derived sizes, parameters, MACs, receptive fields, totals.

    On a terminal that is too narrow, the least important columns are hidden.

    With --expand, the rows inside the blocks and branches of a row follow it. Its counts include
    theirs.

    With --columns, print the part of the net that each device has, and the bytes that the devices
    exchange for each value.
    """
    net = load(spec, **settings)
    rows = net.rows.expanded() if expand else net.rows
    exchanges = net.exchanges() if columns else None
    if as_json:
        data = net.as_json() | {"rows": [row.as_json() for row in rows]}
        print_json(data | ({"exchanges": exchanges.as_json()} if exchanges else {}))
        return
    if exchanges:
        click.echo(exchanges)
        return
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines(net, rows, width):
        click.echo(click.style(line.text, bold=True) if line.is_strong else line.text)
    print_notes(net)
