"""``netspec run``."""

from __future__ import annotations

import click

from netspec.cli.common import json_option, print_json, reports_errors, set_option, styled
from netspec.cli.expecting import expects_options


@click.command()
@click.argument("spec", metavar="SPEC|ARTIFACT|RUN")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--weights",
    metavar="FILE|NAME",
    help="Weights of a spec: a file of netspec or of another framework (netspec weights --list), "
    "or the name of weights that come with the spec, such as digits.  Without this option they are "
    "random.",
)
@click.option(
    "--expect", metavar="DIGEST", help="Root digest that `compile -o` printed for the artifact."
)
@click.option(
    "--top",
    type=click.IntRange(1, 10**9),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of classes to print.",
)
@expects_options
@set_option
@json_option
@reports_errors
def run(
    spec: str,
    images: tuple[str, ...],
    weights: str | None,
    expect: str | None,
    top: int,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Classify images.

    Images are prepared with the steps that the run, the weights, the artifact or the spec stores;
    the first line of the output shows them. If the spec has a recipe without `prepare`, values stay
    0 to 255. If there is no recipe and there are no steps, an image is resized until it covers the
    input of the net, its centre is cropped, and its values are scaled to 0 to 1. For a net with one
    input channel, images become grey.
    """
    from netspec.inference.classify import Failure, classify
    from netspec.views import classification

    results = classify(
        spec,
        images,
        top=top,
        weights=weights,
        prepare=prepare,
        classes=classes,
        expect=expect,
        settings=settings,
        skip=True,
    )
    if as_json:
        print_json(results.as_json())
    else:
        for line in classification.heading(results.subject, styled):
            click.echo(line)
        for one in results.entries:
            if isinstance(one, Failure):
                click.echo(f"{styled('error', 'error')}: {one.error}", err=True)
                continue
            for line in classification.lines(one, styled):
                click.echo(line)
    raise click.exceptions.Exit(1 if results.failures else 0)
