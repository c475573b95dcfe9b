"""``netspec see invariance``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import SUBJECT, label_option, net_options, picture_options, show


def _rows(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    if text is None:
        return None
    rows = tuple(word.strip() for word in text.split(","))
    if len(rows) != 2 or not all(rows):
        raise click.BadParameter(f"{text!r} must be two rows, such as C1,F7")
    return rows


@click.command(short_help="Features under shift, scale and rotation (ZFNet, Figure 5).")
@click.argument("subject", metavar=SUBJECT)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--rows",
    metavar="ROW,ROW",
    callback=_rows,
    help="Rows whose features are compared.  Default: the first, and the last before the output.",
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
