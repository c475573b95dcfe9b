"""``netspec compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netspec.cli.common import EPOCHS, IMAGES, WORKERS, json_option, print_json, reports_errors
from netspec.cli.outputs import guard, output_option
from netspec.files.kinds import FOLDER


@click.command(short_help="Train nets that differ in one thing, as the paper compares them.")
@click.argument("experiment", required=False)
@click.option("--list", "is_listing", is_flag=True, help="Say which there are.")
@click.option("--data", metavar="DATA", help="What to learn from, such as digits or cifar10:DIR.")
@output_option("-o", "--output", metavar="DIR", help="For runs and results.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, metavar="N")
@click.option("--epochs", type=EPOCHS, metavar="N", help="In place of the recipe's.")
@click.option("--batch", type=IMAGES, metavar="N", help="Images a step, likewise.")
@click.option(
    "--workers",
    type=WORKERS,
    default=0,
    show_default=True,
    help="Processes that load data while the device learns.",
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
    """Train the arms of a comparison with several seeds, and say whether they differ.

    Given again, the command goes on where it stopped; with more --seeds it adds to what is there.
    """
    from netspec.compare.differences import require_scipy
    from netspec.compare.experiments import EXPERIMENTS
    from netspec.views import comparison, comparison_chart
    from netspec.views.bench_chart import require_matplotlib

    if is_listing:
        for line in comparison.listed(EXPERIMENTS):
            click.echo(line)
        return
    if experiment is None or data is None or output is None:
        raise click.UsageError("say which, on what, and where: EXPERIMENT --data DATA -o DIR")
    guard(output, FOLDER)
    require_scipy()
    require_matplotlib()
    from netspec.cli.telling import Lines
    from netspec.compare.comparing import FIGURE, RESULTS, Asked, compare
    from netspec.files.writing import write_whole
    from netspec.training.stopping import Stopped

    asked = Asked(experiment=experiment, data=data, **options)
    try:
        answer = compare(asked, output, Lines())
    except Stopped as stopped:
        click.echo("saved; the same command goes on", err=True)
        raise click.exceptions.Exit(128 + stopped.number) from None
    write_whole(output / FIGURE, comparison_chart.rendered(answer, "png"))
    if as_json:
        print_json(answer)
        return
    for line in comparison.lines(answer):
        click.echo(line)
    click.echo(f"\n{output / FIGURE}, {output / RESULTS}")
