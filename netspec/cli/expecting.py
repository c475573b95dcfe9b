"""Options that say what a net expects of images, and the names of its classes."""

from __future__ import annotations

import click

from netspec.cli.common import Command


def expects_options(command: Command) -> Command:
    """Add ``--prepare`` and ``--classes`` to a command."""
    for option in (
        click.option(
            "--classes",
            metavar="NAME|FILE",
            help="Names of the classes: imagenet-1k, cifar-10, or a text file with one name per "
            "line. They replace the names that come with the net.",
        ),
        click.option(
            "--prepare",
            metavar="STEPS",
            help="Steps that prepare an image, written as in a spec: "
            '"shorter 256 | center 224 | range low=0, high=1". They replace the steps that come '
            "with the net.",
        ),
    ):
        command = option(command)
    return command
