"""``netspec see projection``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import SUBJECT, net_options, picture_options, show


@click.command(short_help="The strongest activation of a row, projected to pixels (ZFNet).")
@click.argument("subject", metavar=SUBJECT)
@click.argument("image", metavar="IMAGE")
@click.option(
    "--row",
    metavar="ROW",
    multiple=True,
    help="A row, such as C5; repeatable.  Default: five of the rows with a convolution.",
)
@click.option(
    "--map",
    metavar="N",
    type=click.IntRange(0, 10**9),
    help="Number of the map of the one row, from 0.  Default: that with the largest activation.",
)
@net_options
@picture_options
def projection(
    subject: str,
    image: str,
    row: tuple[str, ...],
    map: int | None,
    weights: str | None,
    expect: str | None,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Project the strongest activation of a row back to the pixels that it depends on.

    The signal goes back through the switches of max-pools, rectifiers and transposed filters.
    Normalisations are ignored. Several rows are shown side by side, each with its part of the
    image above.
    """
    from netspec.see.projection import projection as picture

    show(
        lambda: picture(
            subject,
            image,
            row=row or None,
            map=map,
            weights=weights,
            settings=settings,
            expect=expect,
            prepare=prepare,
            classes=classes,
        ),
        [subject, image, weights, classes],
        output=output,
        force=force,
        as_json=as_json,
    )
