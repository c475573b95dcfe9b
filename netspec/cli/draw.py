"""``netspec draw``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import print_notes, reports_errors, set_option, texts_of
from netspec.cli.outputs import force_option, guard, output_option
from netspec.net import load

STYLES, DIRECTIONS = ("graph", "volumes"), ("down", "right")
"""Those of netspec.views, which is imported only when a net is drawn."""


def _known_form(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    from netspec.views.base_drawing import form_of
    from netspec.views.draw import forms_of

    try:
        form_of(path, forms_of(context.params["style"]))
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
    help="Write FILE.svg, FILE.png, FILE.pdf, or FILE.dot for Graphviz; /dev/stdout gets SVG.",
)
@click.option(
    "--style",
    type=click.Choice(STYLES),
    default="graph",
    show_default=True,
    is_eager=True,  # --output depends on it
    help="Draw the graph, or the layers as volumes in proportion, as in AlexNet's Figure 2.",
)
@click.option(
    "--direction",
    type=click.Choice(DIRECTIONS),
    help="Where the graph goes; right is for landscape pages.  [default: down]",
)
@force_option
@set_option
@reports_errors
def draw(
    spec: str,
    output: Path,
    style: str,
    direction: str | None,
    force: bool,
    settings: dict[str, str],
) -> None:
    """Draw a net: its graph with the sizes on the edges, or its layers as volumes.

    Graphviz lays out the graph. If a net has columns, both styles show what each of them computes
    and where they exchange channels.
    """
    from netspec.views.base_drawing import form_of
    from netspec.views.draw import drawing_of, forms_of

    if style != "graph" and direction is not None:
        raise click.UsageError(
            "volumes are always drawn from left to right: --direction is for --style graph"
        )
    net = load(spec, **settings)
    forms = forms_of(style)
    guard(output, forms[form_of(output, forms)], texts_of(net), force=force)
    drawing_of(net, style, direction).save(output, force=force)
    click.echo(f"{net.name} is drawn in {output}")
    print_notes(net)
