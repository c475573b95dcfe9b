"""``netspec see codes``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import print_note
from netspec.cli.outputs import guard, output_option
from netspec.cli.see.options import (
    SUBJECT,
    counting,
    net_options,
    picture_options,
    reading_options,
    resumed,
    show,
)
from netspec.language.diagnostics import printable


def _whole_bytes(context: click.Context, parameter: click.Parameter, bits: int) -> int:
    from netspec.see.codes import require_bits

    try:
        return require_bits(bits)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(short_help="Search by short binary codes, beside exact search (AlexNet, 6.1).")
@click.argument("subject", metavar=SUBJECT)
@click.option(
    "--row", metavar="ROW", help="A row, such as F7.  Default: the one before the classifier."
)
@click.option(
    "--bits",
    type=click.IntRange(8, 512),
    default=32,
    show_default=True,
    callback=_whole_bytes,
    help="Length of the codes that are shown and written, a multiple of 8.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of the auto-encoders and of the random hyperplanes.",
)
@output_option(
    "--index",
    metavar="FILE",
    help="Write the codes of all training images, and their encoder, to FILE.safetensors; netspec "
    "see search reads it.",
)
@reading_options
@net_options
@picture_options
def codes(
    subject: str,
    row: str | None,
    bits: int,
    seed: int,
    index: Path | None,
    data: str | None,
    batch: int,
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
    """Show the images with the nearest binary codes, and those with the nearest activations.

    An auto-encoder is trained to restore the activations of a row from a code of a few bits.
    Validation images are the queries, and training images are searched. The chart compares codes
    with random hyperplanes, and with exact search by activations and by pixels. Ctrl-C saves the
    work, and the repeated command continues it.
    """
    from netspec.files.kinds import WEIGHTS
    from netspec.see.codes import Codes
    from netspec.see.codes import codes as picture

    reads = [subject, weights, classes]
    guard(index, WEIGHTS, reads, force=force)

    def make() -> Codes:
        made = picture(
            subject,
            row=row,
            bits=bits,
            seed=seed,
            data=data,
            batch=batch,
            workers=workers,
            state=state,
            weights=weights,
            settings=settings,
            expect=expect,
            prepare=prepare,
            classes=classes,
            advance=advance,
            note=print_note,
        )
        if index is not None:
            made.index.save(index, force=force)
        return made

    with counting("codes") as advance, resumed(output) as state:
        show(make, reads, output=output, force=force, as_json=as_json, state=state)
    if index is not None and not as_json:
        click.echo(f"the index is in {printable(str(index))}")
