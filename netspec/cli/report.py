"""``netspec report``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import (
    json_option,
    print_json,
    progress,
    reports_errors,
    set_option,
)
from netspec.cli.outputs import force_option, guard, output_option, require_folder
from netspec.files.kinds import REPORT


def _names(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> list[str] | None:
    from netspec.reporting.report import chosen_sections

    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    try:
        chosen_sections(names)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return names


def _place(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    require_folder(path)
    return path


@click.command()
@click.argument("subject", metavar="RUN|SPEC")
@click.argument("other", metavar="[RUN|SPEC]", required=False)
@output_option(
    "-o",
    "--output",
    metavar="FILE.html",
    default=Path("report.html"),
    show_default=True,
    callback=_place,
    help="File to write; /dev/stdout gets the page.",
)
@click.option(
    "--sections",
    metavar="NAME,...",
    callback=_names,
    help="Sections of the page: summary, differences, curves, confusion, predictions, neighbours, "
    "filters, top9, evolution, graph, table, costs, recipe, data, versions, spec.  Default: all "
    "that apply.",
)
@click.option(
    "--data",
    metavar="DATA",
    help="Data set to use instead of that of the run, such as mnist:DIR.",
)
@click.option("--measure", is_flag=True, help="Time the layers on this machine's CPU.")
@force_option
@set_option
@json_option
@reports_errors
def report(
    subject: str,
    other: str | None,
    output: Path,
    sections: list[str] | None,
    data: str | None,
    measure: bool,
    force: bool,
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Write a run or a net as one HTML page, which opens offline and can be sent by mail.

    A run has what `netspec see` shows, its recipe, data and versions. A spec has an interactive
    graph, the table and the costs. Two of them are compared: what differs in their specs, and
    the curves in one picture.
    """
    from netspec.reporting.report import report
    from netspec.reporting.sections import SECTIONS

    guard(output, REPORT, [subject, other], force=force)
    with progress(len(sections or SECTIONS)) as advance:
        made = report(
            subject,
            other,
            sections=sections,
            data=data,
            measure=measure,
            settings=settings,
            advance=advance,
        )
    made.save(output, force=force)
    if as_json:
        print_json(made.as_json() | {"file": str(output)})
        return
    click.echo(str(made))
    click.echo(f"the report is in {output}")
