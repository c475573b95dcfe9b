"""``netspec train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from netspec.files.kinds import FOLDER
from netspec.language.read import RUN

PRESETS = ("paper", "author", "caffe", "glorot", "he")
STAYS = ("resume", "data", "as_json")
"""Options that --resume accepts; all others are those that the run began with."""


def _epochs(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    return numbers(text, 0, MOST_EPOCHS) if text.strip() else ()


@click.command()
@click.argument("spec", required=False)
@click.option(
    "--data",
    metavar="DATA",
    help="Data set to train on, such as digits or mnist:DIR.  With --resume: its new path.",
)
@output_option("-o", "--output", metavar="RUN", help="Directory of the run.")
@click.option(
    "--resume",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Continue a run with the options that it began with.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of weights, order, augmentation and dropout.",
)
@click.option("--epochs", type=EPOCHS, help="Number of epochs.  Default: as in the recipe.")
@click.option("--batch", type=IMAGES, help="Images per step.  Default: as in the recipe.")
@click.option(
    "--lr",
    type=Finite(0, FACTOR, min_open=True),
    help="Learning rate.  Default: as in the recipe.",
)
@click.option("--decay", type=Finite(0, FACTOR), help="Weight decay.  Default: as in the recipe.")
@click.option(
    "--init", type=click.Choice(PRESETS), help="Initial weights.  Default: as in the recipe."
)
@click.option(
    "--init-from",
    metavar="RUN",
    help="Begin with the weights of another run, where names and shapes match.",
)
@click.option("--no-augment", is_flag=True, help="Do not augment images.")
@click.option(
    "--workers",
    type=WORKERS,
    default=0,
    show_default=True,
    help="Number of processes that load data while the device computes.",
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
    help="Keep the weights after these epochs; 0 is before the first.",
)
@click.option(
    "--checkpoint-every",
    metavar="SECONDS",
    type=Finite(0, 1e9),
    default=300.0,
    show_default=True,
    help="Time between checkpoints.  There is also one at the end of each epoch.",
)
@click.option(
    "--deterministic",
    is_flag=True,
    help="Use only operations that give the same bits each time, on a GPU too.",
)
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
    """Train a net with the recipe in its spec, and keep the run in a directory.

    Ctrl-C finishes the step and saves. --resume continues from there, and reaches the same weights
    as an uninterrupted run.
    """
    _require_one_of_two(context, spec, data, output, resume)
    guard(output, FOLDER)
    from netspec.cli.progress import report
    from netspec.training import train as training
    from netspec.training.parallel import is_first
    from netspec.training.stopping import Stopped

    shown = report(as_json=as_json)
    try:
        if resume is not None:
            result = training.resume(resume, data=data, report=shown)
        else:
            assert spec is not None
            assert data is not None
            assert output is not None
            options["is_augmented"] = not options.pop("no_augment")
            options["is_deterministic"] = options.pop("deterministic")
            options["columns"] = columns or 1
            result = training.train(spec, data, output, settings=settings, report=shown, **options)
    except Stopped as stopped:
        directory = output or resume
        if is_first():
            click.echo(f"saved; continue with: netspec train --resume {directory}", err=True)
        raise click.exceptions.Exit(128 + stopped.number) from None
    if is_first():
        if as_json:
            print_json(result.as_json())
        else:
            click.echo(str(result))


def _require_one_of_two(
    context: click.Context,
    spec: str | None,
    data: str | None,
    output: Path | None,
    resume: Path | None,
) -> None:
    """Raise UsageError unless there are a spec, data and a directory, or --resume alone."""
    if resume is None:
        if spec is None or data is None or output is None:
            if spec is not None and (Path(spec) / RUN).is_file():
                raise click.UsageError(
                    f"{spec} is a run: continue it with --resume {spec}, "
                    f"or train its spec again with {spec} --data DATA -o ANOTHER"
                )
            raise click.UsageError(
                "give a spec, the data and a directory for the run: SPEC --data DATA -o RUN"
            )
        return
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in STAYS and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else "SPEC"
            raise click.UsageError(
                f"--resume continues a run with the options that it began with: remove {shown}"
            )
