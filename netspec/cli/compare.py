"""``netspec compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netspec.cli.common import EPOCHS, IMAGES, WORKERS, json_option, print_json, reports_errors
from netspec.cli.outputs import guard, output_option
from netspec.files.kinds import FOLDER


@click.command()
@click.argument("experiment", required=False)
@click.option("--list", "is_listing", is_flag=True, help="List the comparisons.")
@click.option("--data", metavar="DATA", help="Data set to train on, such as digits or cifar10:DIR.")
@output_option("-o", "--output", metavar="DIR", help="Folder of runs and results.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="Number of seeds to train each net with.",
)
@click.option(
    "--epochs", type=EPOCHS, metavar="N", help="Number of epochs.  Default: as in the recipe."
)
@click.option(
    "--batch", type=IMAGES, metavar="N", help="Images per step.  Default: as in the recipe."
)
@click.option(
    "--workers",
    type=WORKERS,
    default=0,
    show_default=True,
    help="Number of processes that load data while the device computes.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@json_option
@reports_errors
def compare(
    experiment: str | None,
    is_listing: bool,
    data: str | None,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the nets of a comparison with several seeds, and test whether their errors differ.

    The same command continues where it stopped. With more --seeds it adds to the runs that exist.
    """
    if is_listing:
        from netspec.comparing.experiments import EXPERIMENTS
        from netspec.views import comparison

        for line in comparison.listed(EXPERIMENTS):
            click.echo(line)
        return
    if experiment is None or data is None or output is None:
        raise click.UsageError(
            "give a comparison, the data and a folder for results: EXPERIMENT --data DATA -o DIR"
        )
    guard(output, FOLDER)
    from netspec.cli.telling import Lines
    from netspec.comparing.compare import compare
    from netspec.comparing.comparing import FIGURE, RESULTS
    from netspec.training.stopping import Stopped

    try:
        result = compare(experiment, data, output, telling=Lines(), **options)
    except Stopped as stopped:
        click.echo("saved; the same command continues", err=True)
        raise click.exceptions.Exit(128 + stopped.number) from None
    if as_json:
        print_json(result.as_json())
        return
    click.echo(str(result))
    click.echo(f"\n{output / FIGURE}, {output / RESULTS}")
