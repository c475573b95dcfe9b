"""``netspec draw``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import guard, print_notes, reports_errors, set_option, texts_of
from netspec.files.writing import descriptor_of, write_named
from netspec.net import load

FORMS = ("svg", "png", "dot")


def _known_form(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    if _form(path) not in FORMS:
        raise click.BadParameter(f"{path} is none of {', '.join(f'*.{form}' for form in FORMS)}")
    return path


def _form(path: Path) -> str:
    if descriptor_of(path) is not None:
        return "svg"
    return path.suffix.lower().removeprefix(".")


@click.command(short_help="Draw the graph of a net.")
@click.argument("spec")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    callback=_known_form,
    help="The picture: FILE.svg, FILE.png, or FILE.dot for Graphviz; /dev/stdout is SVG.",
)
@set_option
@reports_errors
def draw(spec: str, output: Path, settings: dict[str, str]) -> None:
    """Draw the graph of a net, with the sizes on its edges; Graphviz lays it out."""
    from netspec.views.drawing import rendered

    net = load(spec, **settings)
    guard(output, *texts_of(net))
    write_named(output, rendered(net, _form(output)))
    click.echo(f"{net.name} is drawn in {output}")
    print_notes(net)
