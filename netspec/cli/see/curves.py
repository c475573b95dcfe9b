"""``netspec see curves``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import picture_options, show


@click.command(short_help="Loss and errors of runs over epochs (AlexNet, Figure 1).")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@picture_options
def curves(runs: tuple[str, ...], output: Path | None, force: bool, as_json: bool) -> None:
    """Show loss and errors of runs over epochs; dotted lines mark changes of the learning rate."""
    from netspec.see.curves import curves as picture

    show(lambda: picture(runs), runs, output=output, force=force, as_json=as_json)
