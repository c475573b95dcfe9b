"""``netspec train``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from netspec.cli.common import (
    EPOCHS,
    FACTOR,
    IMAGES,
    MOST_EPOCHS,
    WORKERS,
    Finite,
    json_option,
    numbers,
    print_json,
    reports_errors,
    set_option,
)
from netspec.cli.outputs import guard, output_option
from netspec.errors import DataError
from netspec.files.kinds import FOLDER
from netspec.ir.words import counted
from netspec.net import load
from netspec.views.untested import untested_classes

if TYPE_CHECKING:
    from netspec.training.loop import Result

PRESETS = ("paper", "author", "caffe", "glorot", "he")
STAYS = ("resume", "data", "as_json")
"""Options that a run which goes on accepts; all others were set when it began."""


def _epochs(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    return numbers(text, 0, MOST_EPOCHS) if text.strip() else ()


@click.command(short_help="Train a net by its own recipe.")
@click.argument("spec", required=False)
@click.option(
    "--data",
    metavar="DATA",
    help="What to learn from, such as digits or mnist:DIR; with --resume, where that is now.",
)
@output_option("-o", "--output", metavar="RUN", help="The run's directory.")
@click.option(
    "--resume",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Go on with a run, as it was begun.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--epochs", type=EPOCHS, help="In place of the recipe's.")
@click.option("--batch", type=IMAGES, help="Images a step, in place of the recipe's.")
@click.option("--lr", type=Finite(0, FACTOR, min_open=True), help="Learning rate, likewise.")
@click.option("--decay", type=Finite(0, FACTOR), help="Weight decay, likewise.")
@click.option("--init", type=click.Choice(PRESETS), help="Initial weights, likewise.")
@click.option(
    "--init-from",
    metavar="RUN",
    help="Begin with the weights of a run, where name and shape match.",
)
@click.option("--no-augment", is_flag=True, help="Leave the images as they are.")
@click.option(
    "--workers",
    type=WORKERS,
    default=0,
    show_default=True,
    help="Processes that load data while the device learns.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True
)
@click.option(
    "--columns", is_flag=True, help="Spread the net over processes, as `columns` in its spec says."
)
@click.option(
    "--snapshots",
    metavar="EPOCH,...",
    default="",
    callback=_epochs,
    help="Keep the weights behind these epochs; 0 is before the first.",
)
@click.option(
    "--checkpoint-every",
    metavar="SECONDS",
    type=Finite(0, 1e9),
    default=300.0,
    show_default=True,
    help="Beside the one at the end of each epoch.",
)
@click.option("--deterministic", is_flag=True, help="The same bits each time on a GPU as well.")
@set_option
@json_option
@click.pass_context
@reports_errors
def train(
    context: click.Context,
    spec: str | None,
    data: str | None,
    output: Path | None,
    resume: Path | None,
    columns: bool,
    settings: dict[str, str],
    as_json: bool,
    **options: Any,
) -> None:
    """Train a net by the recipe in its spec, and keep all of it in a directory.

    Ctrl-C finishes the step and saves; --resume goes on from there, to the same weights that a run
    without a pause has.
    """
    _require_one_of_two(context, spec, data, output, resume)
    guard(output, FOLDER)
    from netspec.cli.progress import report
    from netspec.training import loop
    from netspec.training.parallel import is_first
    from netspec.training.settings import Settings
    from netspec.training.stopping import Stopped

    told = report(as_json=as_json)
    try:
        if resume is not None:
            result = loop.resume(resume, data=data, report=told)
        else:
            assert spec is not None
            assert data is not None
            assert output is not None
            options["is_augmented"] = not options.pop("no_augment")
            options["is_deterministic"] = options.pop("deterministic")
            if columns:
                options["columns"] = _columns(spec, settings)
            asked = Settings(spec=spec, data=data, parameters=settings, **options)
            result = loop.train(asked, output, report=told)
    except Stopped as stopped:
        directory = output or resume
        if is_first():
            click.echo(f"saved; go on with: netspec train --resume {directory}", err=True)
        raise click.exceptions.Exit(128 + stopped.number) from None
    if is_first():
        _print(result, as_json=as_json)


def _columns(spec: str, settings: dict[str, str]) -> int:
    """Return the number of columns of a net; raise DataError if it does not have any."""
    net = load(spec, **settings)
    if net.graph.columns is None:
        raise DataError(f"{net.name} has no columns: write `columns 2` into its spec to spread it")
    return net.graph.columns.number


def _require_one_of_two(
    context: click.Context,
    spec: str | None,
    data: str | None,
    output: Path | None,
    resume: Path | None,
) -> None:
    """Raise UsageError unless a run begins with a spec, data and a directory, or goes on alone."""
    if resume is None:
        if spec is None or data is None or output is None:
            raise click.UsageError("say what to train, on what, and where: SPEC --data DATA -o RUN")
        return
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in STAYS and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else "SPEC"
            raise click.UsageError(f"--resume goes on with a run as it was begun, without {shown}")


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
        return
    left_out = f" ({counted(result.untested, 'image')} left out)" if result.untested else ""
    errors = f"error {result.top1:.2f} %, top-5 {result.top5:.2f} %{left_out}"
    untested = f"; {says}" if (says := untested_classes(result.untested_classes)) else ""
    click.echo(f"{errors}{untested}; weights in {result.run}")
