"""``netspec see neighbours``."""

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


@click.command(short_help="Images and their nearest training images (AlexNet, Figure 4).")
@click.argument("subject", metavar=SUBJECT)
@click.argument("images", metavar="[IMAGE...]", nargs=-1)
@numbers_option(
    "--queries",
    "Numbers of images of the validation set, from 0, whose neighbours are looked for too.",
)
@click.option(
    "--row", metavar="ROW", help="A row, such as F7.  Default: the one before the classifier."
)
@click.option(
    "--count",
    type=click.IntRange(1, 100),
    default=6,
    show_default=True,
    help="Number of neighbours.",
)
@pass_options
@net_options
@picture_options
def neighbours(
    subject: str,
    images: tuple[str, ...],
    queries: tuple[int, ...] | None,
    row: str | None,
    count: int,
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
    """Show images, and the images of a data set that are nearest to each.

    Above, the nearest by the Euclidean distance of the activations of a row; below, by that of
    pixels. An image of the data with the same pixels is the image itself, and not a neighbour.
    Ctrl-C saves the pass, and the repeated command continues it.
    """
    from netspec.see.neighbours import neighbours as picture

    with counting("images") as advance, resumed(output) as state:
        show(
            lambda: picture(
                subject,
                images,
                queries=queries,
                row=row,
                data=data,
                split=split,
                count=count,
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
            [subject, *images, weights, classes],
            output=output,
            force=force,
            as_json=as_json,
            state=state,
        )
