"""``netspec see activations``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import (
    SUBJECT,
    contrast_option,
    net_options,
    numbers_option,
    picture_options,
    show,
)


@click.command(short_help="The activations of a row for an image.")
@click.argument("subject", metavar=SUBJECT)
@click.argument("image", metavar="IMAGE")
@click.option("--row", metavar="ROW", help="A row or a stage.  Default: the first row of the net.")
@numbers_option("--maps", "Numbers of the maps or units to show, from 0.  Default: all.")
@contrast_option("map")
@net_options
@picture_options
def activations(
    subject: str,
    image: str,
    row: str | None,
    maps: tuple[int, ...] | None,
    contrast: str,
    weights: str | None,
    expect: str | None,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show the maps of a row for an image as a grid; vectors, and maps of 1x1, as bars."""
    from netspec.see.activations import activations as picture

    show(
        lambda: picture(
            subject,
            image,
            row=row,
            maps=maps,
            contrast=contrast,
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
