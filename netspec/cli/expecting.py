"""Options that say what a net expects of images, and how its classes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netspec.cli.common import Command, styled
from netspec.inference.source import Source, lack, said

if TYPE_CHECKING:
    from netspec.ir.expects import Expects
    from netspec.runtime.compiled import Compiled


def expects_options(command: Command) -> Command:
    """Add ``--prepare`` and ``--classes`` to a command."""
    for option in (
        click.option(
            "--classes",
            metavar="NAME|FILE",
            help="Names of the classes: imagenet-1k, cifar-10, or a text file with a name a line; "
            "instead of those that travel with the net.",
        ),
        click.option(
            "--prepare",
            metavar="STEPS",
            help="What is done to an image, as a spec says it, instead of what travels with the "
            'net: "shorter 256 | center 224 | range low=0, high=1".',
        ),
    ):
        command = option(command)
    return command


def expects_of(prepare: str | None, classes: str | None) -> Expects | None:
    """Return what the options say; None if they say nothing.

    Raises:
        SpecError: one cannot be read.
    """
    if prepare is None and classes is None:
        return None
    from netspec.ir.expects import Expects
    from netspec.language.expects import classes_of, prepare_of

    steps = None if prepare is None else prepare_of(prepare, "--prepare")
    return Expects(steps, classes=() if classes is None else classes_of(classes))


def fill(model: Compiled, source: Source, expects: Expects | None) -> None:
    """Give a compiled net its weights, and what it expects of images, as far as it is said.

    Prints a warning if it is not said how images are prepared for trained weights.

    Args:
        model: the net.
        source: where it comes from.
        expects: what the options say.
    """
    origin = source.fill(model)
    if expects is not None:
        model.expects = said(model.net, model.expects, expects)
    shape, problem = model.net.input_shape, lack(model.net, model.expects, origin)
    if model.expects.prepare is None and shape.is_map and shape.channels in (1, 3):
        problem = (
            f"{origin} does not say how images are prepared for {model.net.name}: say it, and it "
            'travels with the net: --prepare "STEPS"'
        )
    if model.is_trained and problem:
        click.echo(f"{styled('warning', 'warning')}: {problem}", err=True)
