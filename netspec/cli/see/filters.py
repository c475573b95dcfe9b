"""``netspec see filters``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import (
    SUBJECT,
    contrast_option,
    numbers_option,
    picture_options,
    show,
    weights_options,
)


@click.command(short_help="The kernels of the first layer as images (AlexNet, Figure 3).")
@click.argument("subject", metavar=SUBJECT)
@click.option(
    "--row", metavar="ROW", help="A convolution, such as C1.  Default: the first of the net."
)
@numbers_option(
    "--kernels",
    "Numbers of the kernels to show, from 0; required for kernels of more than 4 channels.  "
    "Default: all.",
)
@contrast_option("kernel")
@weights_options
@picture_options
def filters(
    subject: str,
    row: str | None,
    kernels: tuple[int, ...] | None,
    contrast: str,
    weights: str | None,
    expect: str | None,
    settings: dict[str, str],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show the kernels of a convolution as images; a weight of 0 is mid-grey.

    Kernels that see a colour image are in colour. Kernels that do not see the image are shown as
    one grey image per input channel. The parts of a net with `columns 2` are one above the other.
    """
    from netspec.see.filters import filters as picture

    show(
        lambda: picture(
            subject,
            row=row,
            kernels=kernels,
            contrast=contrast,
            weights=weights,
            settings=settings,
            expect=expect,
        ),
        [subject, weights],
        output=output,
        force=force,
        as_json=as_json,
    )
