"""``netspec see top9``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import print_note
from netspec.cli.see.options import (
    SUBJECT,
    counting,
    net_options,
    numbers_option,
    pass_options,
    picture_options,
    resumed,
    show,
)


@click.command(short_help="The images that excite a map most, and their projections (ZFNet).")
@click.argument("subject", metavar=SUBJECT)
@click.option(
    "--row", metavar="ROW", help="A row, such as C5.  Default: the last one with a convolution."
)
@click.option(
    "--count",
    type=click.IntRange(1, 400),
    default=16,
    show_default=True,
    help="Number of maps to show: those with the largest activations.",
)
@numbers_option("--maps", "Numbers of the maps to show, from 0, in place of these.")
@pass_options
@net_options
@picture_options
def top9(
    subject: str,
    row: str | None,
    count: int,
    maps: tuple[int, ...] | None,
    data: str | None,
    split: str,
    batch: int,
    workers: int,
    weights: str | None,
    expect: str | None,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show the nine images of a data set that excite each map of a row most.

    Each image is cut to the pixels that the activation depends on. Left of the nine images are the
    projections of the activations. Ctrl-C saves the pass, and the repeated command continues it.
    """
    from netspec.see.top9 import top9 as picture

    with counting("images") as advance, resumed(output) as state:
        show(
            lambda: picture(
                subject,
                row=row,
                data=data,
                split=split,
                count=count,
                maps=maps,
                batch=batch,
                workers=workers,
                state=state,
                weights=weights,
                settings=settings,
                expect=expect,
                prepare=prepare,
                classes=classes,
                advance=advance,
                note=print_note,
            ),
            [subject, weights, classes],
            output=output,
            force=force,
            as_json=as_json,
            state=state,
        )
