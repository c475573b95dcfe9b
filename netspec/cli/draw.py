"""``netspec draw``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import print_notes, reports_errors, set_option, texts_of
from netspec.cli.outputs import force_option, guard, output_option
from netspec.files.kinds import DOT, PNG, SVG
from netspec.files.writing import descriptor_of, write_named
from netspec.net import load

FORMS = {"svg": SVG, "png": PNG, "dot": DOT}


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
@output_option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    callback=_known_form,
    help="The picture: FILE.svg, FILE.png, or FILE.dot for Graphviz; /dev/stdout is SVG.",
)
@force_option
@set_option
@reports_errors
def draw(spec: str, output: Path, force: bool, settings: dict[str, str]) -> None:
    """Draw the graph of a net, with the sizes on its edges; Graphviz lays it out."""
    from netspec.views.drawing import rendered

    net = load(spec, **settings)
    guard(output, FORMS[_form(output)], texts_of(net), force=force)
    write_named(output, rendered(net, _form(output)))
    click.echo(f"{net.name} is drawn in {output}")
    print_notes(net)
