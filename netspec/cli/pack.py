"""``netspec pack``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

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
from netspec.ir.words import counted


@click.command(short_help="Decode a data set's images once, into shards.")
@click.argument("data", metavar="DATA")
@output_option(
    "-o", "--output", "folder", metavar="DIR", required=True, help="The folder for the shards."
)
@click.option(
    "--size",
    type=click.IntRange(1, 4096),
    default=256,
    show_default=True,
    metavar="N",
    help="Pixels of a side.",
)
@click.option(
    "--faults",
    type=click.IntRange(0, 10**9),
    default=100,
    show_default=True,
    metavar="N",
    help="Leave out so many corrupt images at most.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS.max),
    default=os.cpu_count() or 1,
    show_default="all cores",
    metavar="N",
    help="Processes.",
)
@json_option
@reports_errors
def pack(data: str, folder: Path, size: int, faults: int, workers: int, as_json: bool) -> None:
    """Decode a data set's images once, into tar shards that shards:DIR reads.

    An image is rescaled so that its shorter side has --size pixels, and its middle is cut out.
    Each shard is written whole or not at all; the same command goes on where it was stopped.
    Corrupt images are left out, and named.

    DATA is digits, mnist:DIR, cifar10:DIR, cifar100:DIR, images:DIR or shards:DIR.
    """
    from netspec.data.packing import SPLITS, pack

    guard(folder, FOLDER)
    manifest = pack(
        data, folder, size=size, faults=faults, workers=workers, note=print_note, progress=progress
    )
    splits: dict[str, Any] = {}
    for split in SPLITS:
        shards = [s for name, s in manifest.shards.items() if name.startswith(f"{split}-")]
        splits[split] = {
            "images": sum(shard.images for shard in shards),
            "shards": len(shards),
            "bytes": sum(shard.bytes for shard in shards),
            "faults": [fault for shard in shards for fault in shard.faults],
        }
    if as_json:
        print_json({"folder": str(folder), "size": size, "splits": splits})
        return
    for split, of in splits.items():
        for fault in of["faults"]:
            click.echo(f"{styled('note', 'note')}: left out: {fault}")
        left_out = f", {counted(len(of['faults']), 'image')} left out" if of["faults"] else ""
        click.echo(
            f"{split:<5}  {counted(of['images'], 'image')} of {size} x {size} pixels in "
            f"{counted(of['shards'], 'shard')}, {of['bytes'] / 2**20:,.1f} MiB{left_out}"
        )
    click.echo(f"train and test with --data shards:{folder}")
