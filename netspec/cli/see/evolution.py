"""``netspec see evolution``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import print_note
from netspec.cli.see.options import (
    counting,
    numbers_option,
    pass_options,
    picture_options,
    resumed,
    show,
)


@click.command(short_help="Projections of maps in the course of training (ZFNet, Figure 4).")
@click.argument("run", metavar="RUN")
@click.option(
    "--row", metavar="ROW", help="A row, such as C3.  Default: the last one with a convolution."
)
@numbers_option(
    "--epochs",
    "Epochs to show.  Default: 1, 2, 5, 10, 20, 30, 40 and 64, if the run has weights of them.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 64),
    default=6,
    show_default=True,
    help="Number of maps to show: those with the largest activations after the last epoch.",
)
@numbers_option("--maps", "Numbers of the maps to show, from 0, in place of these.")
@pass_options
@picture_options
def evolution(
    run: str,
    row: str | None,
    epochs: tuple[int, ...] | None,
    count: int,
    maps: tuple[int, ...] | None,
    data: str | None,
    split: str,
    batch: int,
    workers: int,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show what excites each map of a row most after several epochs of a run.

    One row of images per map, one column per epoch: the strongest activation of the map for any
    image of the data, projected to pixels. The run must have been trained with --snapshots. Ctrl-C
    saves the passes over the data, and the repeated command continues them.
    """
    from netspec.see.evolution import evolution as picture

    with counting("images") as advance, resumed(output) as state:
        show(
            lambda: picture(
                run,
                row=row,
                data=data,
                split=split,
                epochs=epochs,
                count=count,
                maps=maps,
                batch=batch,
                workers=workers,
                state=state,
                advance=advance,
                note=print_note,
            ),
            [run],
            output=output,
            force=force,
            as_json=as_json,
            state=state,
        )
