"""``netspec eval``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.common import WORKERS, json_option, print_json, print_note, reports_errors
from netspec.cli.outputs import force_option, guard, output_option
from netspec.files.kinds import ROWS

if TYPE_CHECKING:
    from netspec.training.testing import Errors, Evaluation


@click.command(short_help="Test trained nets, each alone and together.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", metavar="DATA", help="Test on this; the data of the runs unless said.")
@click.option(
    "--tencrop/--center",
    "is_tencrop",
    default=None,
    help="Average over ten crops, or take the centre; what the recipe says unless said.",
)
@output_option("--rows", metavar="FILE", help="Write a row an image, as CSV.")
@force_option
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Not the one of training.")
@click.option("--workers", type=WORKERS, default=0, show_default=True)
@json_option
@reports_errors
def eval(
    runs: tuple[Path, ...],
    data: str | None,
    is_tencrop: bool | None,
    rows: Path | None,
    force: bool,
    device: str | None,
    workers: int,
    as_json: bool,
) -> None:
    """Test runs on held-out images: each alone, and all together, their outputs averaged.

    Outputs are those of the final softmax; so are the ten crops of an image averaged.
    """
    from netspec.cli.progress import tested
    from netspec.training.testing import as_told, centre, evaluate, tencrop
    from netspec.views.evaluation import lines

    if rows is not None:
        guard(rows, ROWS, chain(runs, _places(runs, data)), force=force)
    protocol = {None: as_told, True: tencrop, False: centre}[is_tencrop]
    with tested() as report:
        evaluation = evaluate(
            runs,
            data,
            protocol=protocol,
            rows=rows,
            device=device,
            workers=workers,
            report=report,
            note=print_note,
        )
    if as_json:
        print_json(_as_json(evaluation))
        return
    click.echo(click.style(evaluation.data, bold=True))
    for line in lines(evaluation):
        click.echo(line)


def _places(runs: tuple[Path, ...], data: str | None) -> Iterator[Path]:
    """Yield the files and folders of the data: as given, or else of the runs."""
    from netspec.training.run import Run

    for name in {Run.open(run).settings.data for run in runs} if data is None else {data}:
        place = name.partition(":")[2]
        if place:  # a pattern of shards stands for the folder that they are in
            yield Path(place) if Path(place).exists() else Path(place).parent


def _as_json(evaluation: Evaluation) -> dict[str, Any]:
    alone = [{"run": str(run), **_errors(errors)} for run, errors in evaluation.runs.items()]
    return {"data": evaluation.data, "runs": alone, "ensemble": _errors(evaluation.ensemble)}


def _errors(errors: Errors) -> dict[str, float]:
    return {
        "top1": errors.top1,
        "top5": errors.top5,
        "images": errors.images,
        "untested": errors.untested,
    }
