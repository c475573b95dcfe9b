"""``netspec bench``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from netspec.cli.common import (
    MOST_IMAGES,
    json_option,
    numbers,
    print_json,
    print_notes,
    progress,
    reports_errors,
    set_option,
    styled,
    texts_of,
)
from netspec.cli.outputs import force_option, guard, output_option, require_folder
from netspec.files.kinds import PNG, SVG
from netspec.files.writing import write_named
from netspec.net import load
from netspec.timing import DEVICES, DTYPES, PEERS, ROUNDS

FORMS = {"png": PNG, "svg": SVG}


def _peers(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in PEERS:
            raise click.BadParameter(f"there is no peer {name!r}; there are {', '.join(PEERS)}")
    return names


def _batches(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    return numbers(text, 1, MOST_IMAGES)


def _image(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is None:
        return None
    if _form(path) not in FORMS:
        raise click.BadParameter(f"{path} must end in {' or '.join(f'.{form}' for form in FORMS)}")
    require_folder(path)
    return path


def _form(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


@click.command()
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option(
    "--batch",
    "batches",
    default="1",
    show_default=True,
    metavar="N,...",
    callback=_batches,
    help="Images per batch, one size or several.",
)
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", type=click.Choice(list(DEVICES)), default="cpu", show_default=True)
@click.option(
    "--against",
    metavar="PEER,...",
    callback=_peers,
    help=f"Peers to time: {', '.join(PEERS)}.  Default: all that run on the device.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    default=ROUNDS,
    show_default=True,
    metavar="N",
    help="Rounds of a measurement.  It is repeated if the machine is not quiet.",
)
@click.option(
    "--layers",
    "by_layer",
    is_flag=True,
    help="Time the compiled net alone, step by step.",
)
@output_option(
    "--plot", metavar="FILE", callback=_image, help="Draw a chart: FILE.png or FILE.svg."
)
@force_option
@set_option
@json_option
@reports_errors
def bench(
    specs: tuple[str, ...],
    batches: tuple[int, ...],
    dtype: str,
    device: str,
    against: tuple[str, ...] | None,
    rounds: int,
    by_layer: bool,
    plot: Path | None,
    force: bool,
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Time a compiled net and its peers (other engines), with the same weights and images.

    Outputs are compared with float64 first. Then the engines run in turns. In each round, the
    rates of the machine are measured too. The table shows medians, quartiles, processor time, and
    the time of each peer divided by the time of netspec. Ratios are shown only if times vary little
    and other processes are idle. Memory is measured in a separate process.

    With --layers there are no peers, and the table shows the time of each step.
    """
    if by_layer:
        _refuse_with_layers("against", "plot")
    if unknown := [name for name in against or () if name not in DEVICES[device]]:
        raise click.UsageError(
            f"{', '.join(unknown)} does not run on {device}: remove it from --against"
        )
    nets = [load(spec, **settings) for spec in specs]
    if plot is not None:
        read = [path for net in nets for path in texts_of(net)]
        guard(plot, FORMS[_form(plot)], read, force=force)
    for net in nets:
        net.require_numbers()
    if plot is not None:
        from netspec.views.bench_chart import require_matplotlib

        require_matplotlib()
    from netspec.timing import bench as timing
    from netspec.views.bench import as_lines

    options: dict[str, Any] = {
        "batch": batches,
        "dtype": dtype,
        "device": device,
        "rounds": rounds,
        "settings": settings,
        "progress": progress if sys.stderr.isatty() else _lines,
    }
    if by_layer:
        result = timing.bench_layers(specs, **options)
    else:
        result = timing.bench(specs, against=against, **options)
    if plot is not None:
        write_named(plot, result.chart(_form(plot)))
    if as_json:
        print_json(result.as_json())
        return
    for line in as_lines(result.results, styled):
        click.echo(line)
    for net in nets:
        print_notes(net)


@contextmanager
def _lines(length: int) -> Iterator[Callable[[str], None]]:
    """Print a line when a step begins, where there is no terminal; equal ones are printed once."""
    told = set[str]()

    def tell(step: str) -> None:
        if step not in told:
            told.add(step)
            click.echo(step, err=True)

    yield tell


def _refuse_with_layers(*names: str) -> None:
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--layers and --{name} exclude each other: give one of them")
