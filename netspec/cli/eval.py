"""``netspec eval``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from netspec.cli.common import (
    WORKERS,
    json_option,
    print_json,
    print_note,
    reports_errors,
    set_option,
)
from netspec.cli.expecting import expects_options
from netspec.cli.outputs import force_option, guard, output_option
from netspec.files.kinds import ROWS


@click.command()
@click.argument("nets", metavar="RUN|ARTIFACT|SPEC...", nargs=-1, required=True)
@click.option(
    "--data",
    metavar="DATA",
    help="Data set to test on, such as digits.  Default: the data of the runs.",
)
@click.option(
    "--weights",
    metavar="FILE|NAME",
    help="Weights of the spec: a file of netspec or of another framework (netspec weights --list), "
    "or the name of weights that come with the spec, such as digits.",
)
@click.option(
    "--expect", metavar="DIGEST", help="Root digest that `compile -o` printed for the artifact."
)
@click.option(
    "--tencrop/--center",
    "is_tencrop",
    default=None,
    help="Average over ten crops, or test the centre.  Default: as in the recipe.",
)
@output_option("--rows", metavar="FILE", help="Write a CSV file with one row per image.")
@force_option
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Default: the device of training."
)
@click.option(
    "--workers",
    type=WORKERS,
    default=0,
    show_default=True,
    help="Number of processes that read images.",
)
@expects_options
@set_option
@json_option
@reports_errors
def eval(
    nets: tuple[str, ...],
    data: str | None,
    weights: str | None,
    expect: str | None,
    is_tencrop: bool | None,
    rows: Path | None,
    force: bool,
    device: str | None,
    workers: int,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Test nets on validation images: each net alone, and the average of their outputs.

    A net is a run, an artifact, or a spec with --weights. Each net prepares images in its
    own way. The outputs of the final softmax are averaged, over several nets and over the ten crops
    of an image.
    """
    from netspec.cli.tested import tested
    from netspec.inference.testing import evaluate
    from netspec.views.evaluation import lines

    if rows is not None:
        guard(rows, ROWS, chain([*nets, weights, classes], _places(nets, data)), force=force)
    with tested() as report:
        evaluation = evaluate(
            nets,
            data,
            weights=weights,
            settings=settings,
            prepare=prepare,
            classes=classes,
            expect=expect,
            views={None: None, True: "tencrop", False: "center"}[is_tencrop],
            rows=rows,
            force=force,
            device=device,
            workers=workers,
            report=report,
            note=print_note,
        )
    if as_json:
        print_json(evaluation.as_json())
        return
    click.echo(click.style(evaluation.data, bold=True))
    for line in lines(evaluation):
        click.echo(line)


def _places(nets: tuple[str, ...], data: str | None) -> Iterator[Path]:
    """Yield the files and folders of the data that is given, or else of the data of the runs."""
    from netspec.inference.source import is_a_run

    names = {data} if data is not None else set[str]()
    if data is None:
        for run in filter(is_a_run, nets):
            from netspec.training.run import Run

            names.add(Run.open(Path(run)).settings.data)
    for name in names:
        place = name.partition(":")[2]
        if place:  # of a pattern of shards, the folder that they are in
            yield Path(place) if Path(place).exists() else Path(place).parent
