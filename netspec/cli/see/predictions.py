"""``netspec see predictions``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.see.options import SUBJECT, label_option, net_options, picture_options, show


@click.command(short_help="Images with their most probable classes (AlexNet, Figure 4).")
@click.argument("subject", metavar=SUBJECT)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--top",
    type=click.IntRange(1, 10**9),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of classes per image.",
)
@label_option
@net_options
@picture_options
def predictions(
    subject: str,
    images: tuple[str, ...],
    top: int,
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
    """Show images with their most probable classes as bars, the right class in another colour."""
    from netspec.see.predictions import predictions as picture

    show(
        lambda: picture(
            subject,
            images,
            top=top,
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
