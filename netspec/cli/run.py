"""``netspec run``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from netspec import trained
from netspec.cli.common import json_option, print_json, reports_errors, set_option, styled
from netspec.errors import DataError
from netspec.language.diagnostics import printable
from netspec.language.read import bundled
from netspec.net import Net, load

if TYPE_CHECKING:
    from torch import Tensor

    from netspec.runtime.compiled import Compiled
    from netspec.trained import Trained
    from netspec.training.prepare import View

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
@set_option
@json_option
@reports_errors
def run(
    spec: str,
    images: tuple[str, ...],
    weights: str | None,
    expect: str | None,
    top: int,
    settings: dict[str, str],
    as_json: bool,
) -> None:
    """Classify images.

    A run, and a spec with weights that come with it, prepares images as it did while it learned.
    Else an image is resized until it covers the net's input and cropped at its centre, made grey
    for a net of one channel, and scaled to values from 0 to 1.
    """
    model, shown, names = _subject(spec, settings, weights, expect)
    net = model.net
    import torch

    from netspec.runtime.causes import NotFiniteError, require_finite_outputs
    from netspec.training.testing import answers_by

    is_largest = answers_by(net) == "most"
    results: list[dict[str, Any]] = []
    failed = False
    for path in images:
        try:
            views = shown(path)
        except DataError as error:
            failed = True
            results.append({"image": path, "error": str(error)})
            continue
        placed = views.to(model.device, model.lowered.dtype)
        with torch.inference_mode():
            outputs = model(placed).flatten(1)
            scores = outputs.double().mean(0)
        try:
            require_finite_outputs(model, placed, outputs)
        except NotFiniteError as error:
            failed = True
            results.append({"image": path, "error": f"{path}: {error}"})
            continue
        best = scores.topk(min(top, scores.numel()), largest=is_largest)
        scored = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        answers = [{"class": c, **_named(names, c), "score": s} for c, s in scored]
        results.append({"image": path, "top": answers})
    if as_json:
        print_json({"name": net.name, "trained": model.is_trained, "results": results})
    else:
        _print(net, results, is_trained=model.is_trained)
    raise click.exceptions.Exit(1 if failed else 0)


class _Subject(NamedTuple):
    """A net; the function from a path to images [views, C, H, W]; the names of its classes."""

    model: Compiled
    shown: Callable[[str], Tensor]
    names: tuple[str, ...]


def _subject(
    spec: str, settings: dict[str, str], weights: str | None, expect: str | None
) -> _Subject:
    """Return the net of a run, of an artifact, or of a spec."""
    from netspec.training.directory import is_run

    if is_run(spec):
        for option, value in (("--set", settings), ("--weights", weights), ("--expect", expect)):
            if value:
                raise click.UsageError(f"{option} is not for a run, which has all of its own")
        return _of_run(Path(spec))
    if spec in bundled() and weights in trained.names(spec) and not Path(weights).exists():
        return _of_bundled(trained.trained(spec, weights), settings, expect)
    model = _model(spec, settings, weights, expect)
    from netspec.training.prepare import load_image

    return _Subject(model, lambda path: load_image(path, model.net.input_shape), ())


def _of_run(directory: Path) -> _Subject:
    from netspec.training.run import Run

    run = Run.open(directory)
    return _Subject(run.trained(), _shown(run.view()), run.classes)


def _of_bundled(pretrained: Trained, settings: dict[str, str], expect: str | None) -> _Subject:
    """Return a bundled spec with its own weights, shown images as its recipe says."""
    from netspec.training.prepare import for_testing

    model = _model(pretrained.net, settings, str(pretrained.weights), expect)
    view = for_testing(model.net.recipe, model.net.input_shape, None)
    return _Subject(model, _shown(view), pretrained.classes)


def _shown(view: View) -> Callable[[str], Tensor]:
    """Return the function from the path of an image to its views: [views, C, H, W]."""
    import numpy as np
    import torch

    from netspec.data.images import read_image

    def shown(path: str) -> Tensor:
        pixels = np.asarray(read_image(path, path))
        return torch.from_numpy(view(pixels)).movedim(-1, -3)

    return shown


def _model(
    spec: str, settings: dict[str, str], weights: str | None, expect: str | None
) -> Compiled:
    """Return the net of an artifact, or of a spec."""
    from netspec.artifact.reading import is_artifact

    if is_artifact(spec):
        if settings or weights is not None:
            option = "--set" if settings else "--weights"
            raise click.UsageError(f"{option} is for a spec: an artifact is compiled already")
        from netspec.artifact.loading import load_artifact

        model = load_artifact(spec, expect=expect)
        _require_a_classifier(model.net)
        return model
    if expect is not None:
        raise click.UsageError(f"--expect is for an artifact, and {spec} is none")
    net = load(spec, **settings)
    _require_a_classifier(net)
    from netspec.compiler import compile as compile_net
    from netspec.runtime.weights import load_weights

    model = compile_net(net)
    if weights is not None:
        load_weights(model, weights)
    return model


def _require_a_classifier(net: Net) -> None:
    graph = net.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise DataError(
            f"{net.name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: "
            "`run` is for one image in, one classification out; use the Python API"
        )
    shape = graph.stage(graph.outputs[0]).known_shape
    if shape.elements != shape.channels:
        raise DataError(f"{net.name} returns a map of {shape}, not classes; use the Python API")


def _print(net: Net, results: list[dict[str, Any]], *, is_trained: bool) -> None:
    is_probability = net.graph.stage(net.graph.outputs[0]).op.name == "softmax"
    if not is_trained:
        note = f"{net.name} has untrained, random weights: its answers mean nothing yet"
        click.echo(f"{styled('note', 'note')}: {note} (give trained ones with --weights)")
    for result in results:
        if "error" in result:
            click.echo(f"{styled('error', 'error')}: {result['error']}", err=True)
            continue
        click.echo(click.style(result["image"], bold=True))
        width = max(5, *(len(_called(answer)) for answer in result["top"]))
        for answer in result["top"]:
            score = answer["score"]
            shown = f"{100 * score:6.2f} %" if is_probability else f"{score:10.4f}"
            bar = "█" * round(BAR * score) if is_probability else ""
            click.echo(f"  class {_called(answer):>{width}}  {shown}  {bar}".rstrip())


def _named(names: tuple[str, ...], number: int) -> dict[str, str]:
    """Return the name of a class, if classes have names."""
    from netspec.training.testing import class_name

    return {"name": class_name(names, number)} if names else {}


def _called(answer: dict[str, Any]) -> str:
    """Return the name of a class, or else its number."""
    return printable(str(answer.get("name", answer["class"])))
