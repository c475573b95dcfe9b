"""``netspec see occlusion``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import (
    SUBJECT,
    counting,
    label_option,
    net_options,
    picture_options,
    show,
)

PIXELS = click.IntRange(1, 100_000)


@click.command(short_help="Outputs by the place of a grey square (ZFNet, Figure 7).")
@click.argument("subject", metavar=SUBJECT)
@click.argument("image", metavar="IMAGE")
@click.option(
    "--size",
    type=PIXELS,
    metavar="N",
    help="Side of the square in pixels of the net's input.  Default: 50/224 of its shorter side.",
)
@click.option(
    "--stride",
    type=PIXELS,
    metavar="N",
    help="Pixels between places of the square, at most.  Default: 10/224 of the shorter side.",
)
@click.option(
    "--row",
    metavar="ROW",
    help="Row of the map whose activity is shown.  Default: the last convolution whose maps are "
    "larger than 1x1.",
)
@label_option
@net_options
@picture_options
def occlusion(
    subject: str,
    image: str,
    size: int | None,
    stride: int | None,
    row: str | None,
    label: str | None,
    weights: str | None,
    expect: str | None,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Hide each part of an image with a grey square, and show what the net answers.

    The maps show, for each place of the square, the probability of the right class, the total
    activity of the strongest map of a row, and the most probable class.
    """
    from netspec.see.occlusion import occlusion as picture

    with counting("places") as advance:
        show(
            lambda: picture(
                subject,
                image,
                size=size,
                stride=stride,
                row=row,
                label=label,
                weights=weights,
                settings=settings,
                expect=expect,
                prepare=prepare,
                classes=classes,
                advance=advance,
            ),
            [subject, image, weights, classes],
            output=output,
            force=force,
            as_json=as_json,
        )
