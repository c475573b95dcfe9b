"""``netspec draw``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import print_notes, reports_errors, set_option, texts_of
from netspec.cli.outputs import force_option, guard, output_option
from netspec.net import load


def _known_form(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    from netspec.views.drawing import form_of

    try:
        form_of(path)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return path


@click.command()
@click.argument("spec")
@output_option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    callback=_known_form,
    help="Write FILE.svg, FILE.png, or FILE.dot for Graphviz; /dev/stdout gets SVG.",
)
@force_option
@set_option
@reports_errors
def draw(spec: str, output: Path, force: bool, settings: dict[str, str]) -> None:
    """Draw the graph of a net, with the sizes on its edges; Graphviz lays it out."""
    from netspec.views.drawing import Drawing, kind_of

    net = load(spec, **settings)
    guard(output, kind_of(output), texts_of(net), force=force)
    Drawing(net).save(output, force=force)
    click.echo(f"{net.name} is drawn in {output}")
    print_notes(net)
