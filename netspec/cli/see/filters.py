"""``netspec see filters``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import numbers
from netspec.cli.see.options import SUBJECT, picture_options, show, weights_options


def _kernels(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    return None if text is None else numbers(text, 0, 10**6)


@click.command(short_help="The kernels of the first layer as images (AlexNet, Figure 3).")
@click.argument("subject", metavar=SUBJECT)
@click.option(
    "--row", metavar="ROW", help="A convolution, such as C1.  Default: the first of the net."
)
@click.option(
    "--kernels",
    metavar="N,...",
    callback=_kernels,
    help="Numbers of the kernels to show, from 0; required for kernels of more than 4 channels.  "
    "Default: all.",
)
@click.option(
    "--contrast",
    type=click.Choice(["each", "common"]),
    default="each",
    show_default=True,
    help="Scale each kernel on its own, or all alike.",
)
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
