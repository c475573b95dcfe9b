"""``netspec see search``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import SUBJECT, net_options, picture_options, show


@click.command(short_help="Find images in an index of binary codes (see codes).")
@click.argument("subject", metavar=SUBJECT)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--index",
    metavar="FILE",
    required=True,
    help="Index of codes that netspec see codes --index wrote.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 100),
    default=6,
    show_default=True,
    help="Number of images found.",
)
@click.option(
    "--data", metavar="DATA", help="The data of the index, if it has moved.  Default: its place."
)
@net_options
@picture_options
def search(
    subject: str,
    images: tuple[str, ...],
    index: str,
    count: int,
    data: str | None,
    weights: str | None,
    expect: str | None,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show images, and the images of an index whose binary codes are nearest to each.

    The net must be the one that the index was made with. Distances are numbers of bits.
    """
    from netspec.see.search import search as picture

    show(
        lambda: picture(
            subject,
            images,
            index=index,
            count=count,
            data=data,
            weights=weights,
            settings=settings,
            expect=expect,
            prepare=prepare,
            classes=classes,
        ),
        [subject, index, *images, weights, classes],
        output=output,
        force=force,
        as_json=as_json,
    )
