"""``netspec bench``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

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
from netspec.cli.outputs import force_option, guard, output_option
from netspec.errors import DataError
from netspec.files.kinds import PNG, SVG
from netspec.files.writing import write_named
from netspec.net import load
from netspec.timing import DEVICES, DTYPES, PEERS

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
    if path is not None and _form(path) not in FORMS:
        raise click.BadParameter(f"{path} is none of {', '.join(f'*.{form}' for form in FORMS)}")
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}")
    return path


def _form(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


@click.command(short_help="Time a compiled net beside its peers.")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option(
    "--batch",
    "batches",
    default="1",
    show_default=True,
    metavar="N,...",
    callback=_batches,
    help="Images at once, one size or several.",
)
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--device", type=click.Choice(list(DEVICES)), default="cpu", show_default=True)
@click.option(
    "--against",
    metavar="PEER,...",
    callback=_peers,
    help=f"The peers; all that the device has unless said: {', '.join(PEERS)}.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 10_000), default=15, show_default=True, metavar="N"
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
    """Time a compiled net beside its peers, in one process: the same weights, the same images.

    Outputs are held against float64 first. Then engines take turns, with the machine's own matrix
    product and copy among them; the table shows medians, quartiles, and how many times as long as
    netspec each peer takes. Memory is that of a process of its own.

    With --layers there are no peers: the table shows where the compiled net spends its time.
    """
    if by_layer:
        _refuse_beside_layers("against", "plot")
    peers = DEVICES[device] if against is None else against
    if unknown := [name for name in peers if name not in DEVICES[device]]:
        raise click.UsageError(f"{', '.join(unknown)} has no {device}: leave it out of --against")
    nets = [load(spec, **settings) for spec in specs]
    if plot is not None:
        read = [path for net in nets for path in texts_of(net)]
        guard(plot, FORMS[_form(plot)], read, force=force)
    for net in nets:
        net.require_numbers()
    if plot is not None:
        from netspec.views.bench_chart import rendered, require_matplotlib

        require_matplotlib()
    if device == "cuda":
        require_gpu()
    from netspec.timing import layers, measure
    from netspec.views.bench import as_lines

    if by_layer:
        length = layers.steps(len(specs), len(batches), rounds)
        run = partial(layers.bench)
    else:
        length = measure.steps(len(specs), len(batches), len(peers), rounds)
        run = partial(measure.bench, against=peers)
    with progress(length) as advance:
        answer = run(
            specs,
            settings=settings,
            batches=batches,
            dtype=dtype,
            device=device,
            rounds=rounds,
            advance=advance,
        )
    if plot is not None:
        write_named(plot, rendered(answer, _form(plot)))
    if as_json:
        print_json(answer)
        return
    for line in as_lines(answer, styled):
        click.echo(line)
    for net in nets:
        print_notes(net)


def require_gpu() -> None:
    """Raise DataError without a GPU: Triton's interpreter does not show the times of one."""
    import torch

    if not torch.cuda.is_available():
        raise DataError(
            "--device cuda needs an NVIDIA GPU and a CUDA build of PyTorch; there is none here"
        )


def _refuse_beside_layers(*names: str) -> None:
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--layers or --{name}, not both")
