"""``netspec see confusion``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import WORKERS, print_note
from netspec.cli.see.options import SUBJECT, counting, net_options, picture_options, show


@click.command(short_help="The classes that a net confuses, and its worst mistakes.")
@click.argument("subject", metavar=SUBJECT)
@click.option(
    "--data",
    metavar="DATA",
    help="Data set to test on, such as digits.  Default: the data of the run.",
)
@click.option(
    "--mistakes",
    type=click.IntRange(0, 1000),
    default=12,
    show_default=True,
    metavar="N",
    help="Number of images to show.",
)
@click.option(
    "--workers",
    type=WORKERS,
    default=0,
    show_default=True,
    help="Number of processes that read images.",
)
@net_options
@picture_options
def confusion(
    subject: str,
    data: str | None,
    mistakes: int,
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
    """Test a net on validation images, and show the answers by class and the worst mistakes.

    The worst mistakes are those with the largest difference between the scores of the answer and of
    the right class.
    """
    from netspec.see.confusion import confusion as picture

    place = (data or "").partition(":")[2]
    with counting("images") as advance:
        show(
            lambda: picture(
                subject,
                data,
                mistakes=mistakes,
                weights=weights,
                settings=settings,
                expect=expect,
                prepare=prepare,
                classes=classes,
                workers=workers,
                report=advance,
                note=print_note,
            ),
            [subject, weights, classes, place or None],
            output=output,
            force=force,
            as_json=as_json,
        )
