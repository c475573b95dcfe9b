"""``netspec eval``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.common import WORKERS, guard, json_option, print_json, print_note, reports_errors

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
@click.option(
    "--rows",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a row an image, as CSV.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Not the one of training.")
@click.option("--workers", type=WORKERS, default=0, show_default=True)
@json_option
@reports_errors
def eval(
    runs: tuple[Path, ...],
    data: str | None,
    is_tencrop: bool | None,
    rows: Path | None,
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

    kept = [file for run in runs for file in run.rglob("*") if file.suffix != ".csv"]
    guard(rows, *kept)
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
