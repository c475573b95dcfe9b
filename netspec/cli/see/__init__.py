"""``netspec see``: pictures of what a network has learned, one command per picture.

A new picture is one module here with a command, and one line in :data:`PICTURES`.
"""

from __future__ import annotations

import click

from netspec.cli.see.activations import activations
from netspec.cli.see.codes import codes
from netspec.cli.see.confusion import confusion
from netspec.cli.see.curves import curves
from netspec.cli.see.evolution import evolution
from netspec.cli.see.filters import filters
from netspec.cli.see.invariance import invariance
from netspec.cli.see.neighbours import neighbours
from netspec.cli.see.occlusion import occlusion
from netspec.cli.see.predictions import predictions
from netspec.cli.see.projection import projection
from netspec.cli.see.search import search
from netspec.cli.see.top9 import top9


@click.group()
def see() -> None:
    """Show what a network has learned: its filters, its activations, its mistakes.

    Each picture is a command. SUBJECT is a run, an artifact, or a spec with --weights. A picture of
    a net without trained weights says so in its caption.
    """


PICTURES: tuple[click.Command, ...] = (
    filters,
    activations,
    predictions,
    neighbours,
    codes,
    search,
    occlusion,
    invariance,
    curves,
    confusion,
    projection,
    top9,
    evolution,
)

for picture in PICTURES:
    see.add_command(picture)
