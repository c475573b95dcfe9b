"""Parts of the commands of ``netspec see``: options, and how a picture is written and printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netspec.cli.common import (
    IMAGES,
    WORKERS,
    Command,
    json_option,
    numbers,
    print_json,
    reports_errors,
    set_option,
)
from netspec.cli.expecting import expects_options
from netspec.cli.outputs import force_option, guard, output_option, require_folder
from netspec.language.diagnostics import printable

if TYPE_CHECKING:
    from netspec.see.figures import Visualisation

SUBJECT = "RUN|ARTIFACT|SPEC"


def _place(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    from netspec.see.figures import form_of

    if path is None:
        return None
    try:
        form_of(path)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    require_folder(path)
    return path


def picture_options(command: Command) -> Command:
    """Add ``-o``, ``--force`` and ``--json``, and report errors; the command calls :func:`show`."""
    for option in (
        reports_errors,
        json_option,
        force_option,
        output_option(
            "-o",
            "--output",
            metavar="FILE",
            callback=_place,
            help="Write FILE.png, FILE.svg or FILE.pdf; /dev/stdout gets SVG.",
        ),
    ):
        command = option(command)
    return command


def weights_options(command: Command) -> Command:
    """Add the options that a net is opened with: ``--weights``, ``--expect``, ``--set``."""
    for option in (
        set_option,
        click.option(
            "--expect",
            metavar="DIGEST",
            help="Root digest that `compile -o` printed for the artifact.",
        ),
        click.option(
            "--weights",
            metavar="FILE|NAME",
            help="Weights of a spec: a file of netspec or of another framework (netspec weights "
            "--list), or the name of weights that come with the spec, such as digits.  Without "
            "this option they are random.",
        ),
    ):
        command = option(command)
    return command


def net_options(command: Command) -> Command:
    """Add :func:`weights_options`, and what the net expects: ``--prepare``, ``--classes``."""
    return weights_options(expects_options(command))


def label_option(command: Command) -> Command:
    """Add ``--label``: the right class of the image."""
    return click.option(
        "--label",
        metavar="CLASS",
        help="Name or number of the right class.  Default: the folder of the image, if it is the "
        "name of a class; else the most probable class.",
    )(command)


def reading_options(command: Command) -> Command:
    """Add the options of a pass over both splits of a data set: ``--data``, ``--batch``,
    ``--workers``."""
    for option in (
        click.option(
            "--workers",
            type=WORKERS,
            default=0,
            show_default=True,
            help="Number of processes that read images.",
        ),
        click.option(
            "--batch",
            type=IMAGES,
            default=64,
            show_default=True,
            help="Images in memory at once.  The picture does not depend on it.",
        ),
        click.option(
            "--data",
            metavar="DATA",
            help="Data set to look at, such as digits or images:DIR.  Default: that of the run.",
        ),
    ):
        command = option(command)
    return command


def pass_options(command: Command) -> Command:
    """Add :func:`reading_options`, and which split is read: ``--split``."""
    return reading_options(
        click.option(
            "--split",
            type=click.Choice(["train", "validation"]),
            default="train",
            show_default=True,
            help="Part of the data set.",
        )(command)
    )


def numbers_option(flag: str, help: str) -> Callable[[Command], Command]:
    """Return an option that takes numbers from 0 with commas between them."""
    return click.option(flag, metavar="N,...", callback=_numbers, help=help)


def _numbers(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    return None if text is None else numbers(text, 0, 10**6)


def contrast_option(noun: str) -> Callable[[Command], Command]:
    """Return ``--contrast``, for pictures of kernels or maps."""
    return click.option(
        "--contrast",
        type=click.Choice(["each", "common"]),
        default="each",
        show_default=True,
        help=f"Scale each {noun} on its own, or all alike.",
    )


@contextmanager
def counting(noun: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal; yield a function to call with the counts of done and of all."""
    if not sys.stderr.isatty():
        yield lambda done, count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(noun)
        yield lambda done, count: bar.update(task, completed=done, total=count)


@contextmanager
def resumed(output: Path | None) -> Iterator[Path | None]:
    """Yield the file next to a picture in which a pass over a data set is saved.

    :func:`show` removes it after the picture is written.  If a signal stops the pass, it is kept,
    and the repeated command continues.  A picture that is written to a pipe does not have such a
    file.
    """
    from netspec.files.writing import is_written_into
    from netspec.see.streaming import Interrupted

    if output is None or is_written_into(output):
        yield None
        return
    state = output.with_name(f"{output.name}.pass")
    try:
        yield state
    except Interrupted as stopped:
        click.echo(str(stopped), err=True)
        raise click.exceptions.Exit(128 + stopped.number) from None


def show(
    make: Callable[[], Visualisation],
    reads: Iterable[Path | str | None],
    *,
    output: Path | None,
    force: bool,
    as_json: bool,
    state: Path | None = None,
) -> None:
    """Make a picture, write it, and print its caption and its figures, or JSON.

    Args:
        make: returns the picture; called after it is known that the output may be written.
        reads: files and folders that the command reads, which the picture may not replace.
        output: path of the picture; None writes no file.
        force: replace a file of another kind.
        as_json: print JSON.
        state: the file of :func:`resumed`, if the picture has one.
    """
    from netspec.see.figures import kind_of, require_matplotlib
    from netspec.see.streaming import forget

    if output is None and not as_json:
        raise click.UsageError("give the file to write with -o FILE.png, or --json, or both")
    if output is not None:
        guard(output, kind_of(output), reads, force=force)
        require_matplotlib()
    picture = make()
    if output is not None:
        picture.save(output, force=force)
    if state is not None:
        forget(state)  # before anything is printed: a pipe may be closed
    if as_json:
        print_json(picture.as_json())
        return
    click.echo(str(picture))
    click.echo(f"the picture is in {printable(str(output))}")
