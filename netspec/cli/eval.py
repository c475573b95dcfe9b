"""``netspec eval``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.common import (
    WORKERS,
    json_option,
    print_json,
    print_note,
    reports_errors,
    set_option,
)
from netspec.cli.expecting import expects_of, expects_options
from netspec.cli.outputs import force_option, guard, output_option
from netspec.files.kinds import ROWS

if TYPE_CHECKING:
    from netspec.inference.testing import Evaluation
    from netspec.training.testing import Errors


@click.command(short_help="Test trained nets, each alone and together.")
@click.argument("nets", metavar="RUN|ARTIFACT|SPEC...", nargs=-1, required=True)
@click.option(
    "--data",
    metavar="DATA",
    help="Test on this; the data of the runs unless said, and needed without a run.",
)
@click.option(
    "--weights",
    metavar="FILE|NAME",
    help="Of a spec: a safetensors file, or by their name, such as digits, weights that come "
    "with it.",
)
@click.option(
    "--tencrop/--center",
    "is_tencrop",
    default=None,
    help="Average over ten crops, or take the centre; what travels with the net unless said.",
)
@output_option("--rows", metavar="FILE", help="Write a CSV file with one row per image.")
@force_option
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Not the one of training.")
@click.option("--workers", type=WORKERS, default=0, show_default=True)
@expects_options
@set_option
@json_option
@reports_errors
def eval(
    nets: tuple[str, ...],
    data: str | None,
    weights: str | None,
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
    """Test nets on held-out images: each alone, and all together, their outputs averaged.

    A net is a run, an artifact, or a spec with --weights, and images are prepared for each as it
    expects them. Outputs are those of the final softmax; so are the ten crops of an image averaged.
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
            expects=expects_of(prepare, classes),
            views={None: None, True: "tencrop", False: "center"}[is_tencrop],
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


def _places(nets: tuple[str, ...], data: str | None) -> Iterator[Path]:
    """Yield the files and folders of the data: as given, or else of the runs."""
    from netspec.inference.source import is_a_run

    names = {data} if data is not None else set[str]()
    if data is None:
        for run in filter(is_a_run, nets):
            from netspec.training.run import Run

            names.add(Run.open(Path(run)).settings.data)
    for name in names:
        place = name.partition(":")[2]
        if place:  # a pattern of shards stands for the folder that they are in
            yield Path(place) if Path(place).exists() else Path(place).parent


def _as_json(evaluation: Evaluation) -> dict[str, Any]:
    alone = [
        {"run": str(run), **_errors(errors), "applied": evaluation.applied[run]}
        for run, errors in evaluation.runs.items()
    ]
    return {"data": evaluation.data, "runs": alone, "ensemble": _errors(evaluation.ensemble)}


def _errors(errors: Errors) -> dict[str, Any]:
    return {
        "top1": errors.top1,
        "top5": errors.top5,
        "images": errors.images,
        "untested": errors.untested,
        "untested_classes": list(errors.untested_classes),
    }
