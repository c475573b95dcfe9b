"""``netspec run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from netspec import trained
from netspec.cli.common import json_option, print_json, reports_errors, set_option, styled
from netspec.cli.expecting import expects_of, expects_options
from netspec.errors import DataError
from netspec.language.diagnostics import printable
from netspec.language.read import bundled

if TYPE_CHECKING:
    from netspec.inference.classify import Answer, Classification
    from netspec.inference.subject import Subject

BAR = 24


@click.command(short_help="Classify images.")
@click.argument("spec", metavar="SPEC|ARTIFACT|RUN")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--weights",
    metavar="FILE|NAME",
    help="A safetensors file, or by their name, such as digits, weights that come with the spec; "
    "without it, random ones.",
)
@click.option(
    "--expect", metavar="DIGEST", help="The root digest that `compile -o` printed for the artifact."
)
@click.option("--top", type=click.IntRange(1, 10**9), default=5, show_default=True, metavar="N")
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

    Each image is prepared as the net expects it: as its run, its weights or its artifact say, which
    know it from training, or else its spec. A line says what was done; classes have their names.
    A recipe without `prepare` learns from values of 0 to 255, and its net is shown the same. If
    there is no recipe and nobody says how images are prepared, one is resized until it covers the
    net's input, cut at its centre, made grey for a net of one channel, and scaled to values from 0
    to 1.
    """
    from netspec.inference.classify import classifier
    from netspec.inference.subject import open_subject

    expects = expects_of(prepare, classes)
    subject = open_subject(spec, weights=weights, settings=settings, expect=expect, expects=expects)
    look = classifier(subject, top=top)
    results: list[Classification | tuple[str, str]] = []
    for path in images:
        try:
            results.append(look(path))
        except DataError as error:
            results.append((path, str(error)))
    if as_json:
        print_json(_as_json(subject, results))
    else:
        _print(subject, results)
    failed = any(isinstance(result, tuple) for result in results)
    raise click.exceptions.Exit(1 if failed else 0)


def _as_json(subject: Subject, results: list[Classification | tuple[str, str]]) -> dict[str, Any]:
    from netspec.runtime.expects import as_json

    listed = [
        {"image": result[0], "error": result[1]}
        if isinstance(result, tuple)
        else {"image": result.image, "top": [_answer(answer) for answer in result.answers]}
        for result in results
    ]
    model = subject.model
    return {
        "name": model.net.name,
        "trained": model.is_trained,
        "expects": as_json(subject.expects) | {"from": subject.origin},
        "results": listed,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    named = {"name": answer.name} if answer.name else {}
    return {"class": answer.number, **named, "score": answer.score}


def _print(subject: Subject, results: list[Classification | tuple[str, str]]) -> None:
    net = subject.model.net
    is_probability = net.graph.stage(net.graph.outputs[0]).op.name == "softmax"
    if not subject.model.is_trained:
        note = f"{net.name} has untrained, random weights: its answers mean nothing yet"
        known = trained.names(net.source.name) if net.source.name in bundled() else []
        advice = f"--weights {known[0]}" if known else "--weights"
        click.echo(f"{styled('note', 'note')}: {note} (give trained ones with {advice})")
    click.echo(styled(printable(subject.as_line()), "quiet"))
    for result in results:
        if isinstance(result, tuple):
            click.echo(f"{styled('error', 'error')}: {result[1]}", err=True)
            continue
        click.echo(click.style(result.image, bold=True))
        width = max(5, *(len(printable(str(answer))) for answer in result.answers))
        for answer in result.answers:
            score = answer.score
            shown = f"{100 * score:6.2f} %" if is_probability else f"{score:10.4f}"
            bar = "█" * round(BAR * score) if is_probability else ""
            click.echo(f"  {printable(str(answer)):>{width}}  {shown}  {bar}".rstrip())
