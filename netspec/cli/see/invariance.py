"""``netspec see invariance``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import SUBJECT, label_option, net_options, picture_options, show


@click.command(short_help="Features under shift, scale and rotation (ZFNet, Figure 5).")
@click.argument("subject", metavar=SUBJECT)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--row",
    "rows",
    nargs=2,
    metavar="ROW ROW",
    help="Two rows to compare features at.  Default: the first, and the last before the output.",
)
@label_option
@net_options
@picture_options
def invariance(
    subject: str,
    images: tuple[str, ...],
    rows: tuple[str, ...] | None,
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
    """Shift, scale and rotate images, and show how far their features move.

    The lines show the Euclidean distance between the features of the image and of the changed image
    at two rows, and the probability of the right class.
    """
    from netspec.see.invariance import invariance as picture

    show(
        lambda: picture(
            subject,
            images,
            rows=rows,
            label=label,
            weights=weights,
            settings=settings,
            expect=expect,
            prepare=prepare,
            classes=classes,
        ),
        [subject, *images, weights, classes],
        output=output,
        force=force,
        as_json=as_json,
    )
