"""``netspec weights``."""

from __future__ import annotations

from pathlib import Path

import click

from netspec.cli.common import (
    json_option,
    print_json,
    reports_errors,
    set_option,
    styled,
    texts_of,
)
from netspec.cli.expecting import expects_options
from netspec.cli.outputs import force_option, guard, output_option
from netspec.files.kinds import WEIGHTS


@click.command()
@click.argument("spec", metavar="SPEC", required=False)
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Weights of PyTorch (.pth, .pt), safetensors, Caffe (.caffemodel), Keras (.h5, .keras), "
    "ONNX or MatConvNet (.mat).",
)
@output_option("-o", "--output", metavar="FILE", help="Safetensors file to write.")
@force_option
@click.option(
    "--accept", is_flag=True, help="Also write pairs that only the order of layers decides."
)
@click.option(
    "--module",
    metavar="MODULE:NAME",
    help="What makes the model of PyTorch that has these weights, such as "
    "torchvision.models:vgg16; outputs are compared with it.  Its code is run.",
)
@click.option("--table", is_flag=True, help="Print which layer each row takes.")
@click.option(
    "--list", "listed", is_flag=True, help="Print the known families of weights, of SPEC or all."
)
@expects_options
@set_option
@json_option
@reports_errors
def weights(
    spec: str | None,
    source: Path | None,
    output: Path | None,
    force: bool,
    accept: bool,
    module: str | None,
    table: bool,
    listed: bool,
    prepare: str | None,
    classes: str | None,
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Convert pretrained weights of other frameworks for a spec.

    Layers of a known family (--list) are paired with the rows of the spec by their names, others by
    kind, shape and order of execution.  Pairs of equal shape that only their order decides are
    shown, and written with --accept, or if outputs are those of the source: an ONNX model is run,
    another one if --module is given.
    """
    from netspec.net import load
    from netspec.views import pretrained as view

    if listed:
        from netspec.pretrained.families import families
        from netspec.trained import spec_of

        chosen = families(spec_of(load(spec, **settings)) if spec else None)
        if as_json:
            print_json([family.as_json() for family in chosen])
            return
        for line in view.family_lines(chosen, styled):
            click.echo(line)
        return
    if spec is None or source is None:
        raise click.UsageError("give SPEC and --from FILE; --list prints the known families")
    from netspec.inference.converting import convert_weights
    from netspec.pretrained.convert import Uncertain

    net = load(spec, **settings)
    if output is not None:
        guard(output, WEIGHTS, [*texts_of(net), source, classes], force=force)
    try:
        converted = convert_weights(
            net,
            source,
            output,
            accept=accept,
            module=module,
            prepare=prepare,
            classes=classes,
            force=force,
        )
    except Uncertain as error:
        if not as_json:
            for line in view.lines(error.converted, styled):  # the table that the error refers to
                click.echo(line)
        raise
    if as_json:
        print_json(converted.as_json())
        return
    for line in view.lines(converted, styled, table=table):
        click.echo(line)
    if output is None:
        click.echo("nothing is written without -o FILE.safetensors")
