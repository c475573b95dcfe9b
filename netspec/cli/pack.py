"""``netspec pack``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from netspec.cli.common import (
    WORKERS,
    json_option,
    print_json,
    print_note,
    progress,
    reports_errors,
    styled,
)
from netspec.cli.outputs import guard, output_option
from netspec.files.kinds import FOLDER


@click.command()
@click.argument("data", metavar="DATA")
@output_option(
    "-o", "--output", "folder", metavar="DIR", required=True, help="Folder of the shards."
)
@click.option(
    "--size",
    type=click.IntRange(1, 4096),
    default=256,
    show_default=True,
    metavar="N",
    help="Pixels per side.",
)
@click.option(
    "--faults",
    type=click.IntRange(0, 10**9),
    default=100,
    show_default=True,
    metavar="N",
    help="Number of corrupt images to skip; one more is an error.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS.max),
    default=os.cpu_count() or 1,
    show_default="all cores",
    metavar="N",
    help="Number of processes.",
)
@json_option
@reports_errors
def pack(data: str, folder: Path, size: int, faults: int, workers: int, as_json: bool) -> None:
    """Decode the images of a data set once, into tar shards that shards:DIR reads.

    An image is resized so that its shorter side has --size pixels, and its centre is cropped.
    Each shard is written whole or not at all, and the same command continues where it stopped.
    Corrupt images are skipped and listed.

    DATA is digits, mnist5k, mnist:DIR, cifar10:DIR, cifar100:DIR, images:DIR or shards:DIR.
    """
    from netspec.data.packing import pack
    from netspec.views import packed as view

    guard(folder, FOLDER)
    packed = pack(
        data, folder, size=size, faults=faults, workers=workers, note=print_note, progress=progress
    )
    if as_json:
        print_json(packed.as_json())
        return
    for line in view.lines(packed, styled):
        click.echo(line)
